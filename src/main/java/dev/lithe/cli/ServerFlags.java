package dev.lithe.cli;

import dev.lithe.route.VariantSource;
import dev.lithe.serve.ServerOptions;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Mixin;

/// The options that all serving commands share.
final class ServerFlags {
    @Mixin private ServerAddress address = new ServerAddress();
    @Mixin private ServerLoad load = new ServerLoad();
    @Mixin private AccessFlags access = new AccessFlags();
    @Mixin private ObserveFlags observe = new ObserveFlags();
    @Mixin private DraftFlags draft = new DraftFlags();

    /// How to serve `variants`.
    ///
    /// @param weights shares of the requests; empty means equal ones
    ServerOptions options(
            List<VariantSource> variants, Map<String, Double> weights, boolean verbose) {
        return new ServerOptions(
                        variants,
                        weights,
                        address.host(),
                        address.grpcPort(),
                        address.httpPort(),
                        load.limits(),
                        load.drain(),
                        verbose)
                .with(access.options())
                .with(observe.options())
                .withDraft(draft.options());
    }
}
