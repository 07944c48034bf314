package dev.lithe.serve;

import dev.lithe.engine.EngineLimits;
import dev.lithe.fault.LitheException;
import dev.lithe.route.ExperimentOptions;
import dev.lithe.route.Router;
import dev.lithe.route.VariantSource;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What to serve, and where.
///
/// @param weights shares of the requests that name no variant; empty means equal ones
/// @param host address to listen on
/// @param grpcPort 0 lets the system choose
/// @param httpPort for health and metrics; 0 lets the system choose
/// @param limits what the engine takes on at once
/// @param drain how long requests may go on once the process is told to stop
/// @param verbose whether the server's log shows more than warnings
/// @param experiment what is watched of the requests
/// @param access who may ask
/// @param draft who guesses for the first variant
/// @param observe what it tells of itself
public record ServerOptions(
        List<VariantSource> variants,
        Map<String, Double> weights,
        String host,
        int grpcPort,
        int httpPort,
        EngineLimits limits,
        Duration drain,
        boolean verbose,
        ExperimentOptions experiment,
        AccessOptions access,
        Optional<DraftOptions> draft,
        ObserveOptions observe) {
    public static final Duration DEFAULT_DRAIN = Duration.ofSeconds(30);
    public static final String DEFAULT_HOST = "127.0.0.1";
    public static final int DEFAULT_GRPC_PORT = 9000;
    public static final int DEFAULT_HTTP_PORT = 8080;
    private static final int MAX_PORT = 65_535;

    public ServerOptions {
        variants = List.copyOf(variants);
        weights = Map.copyOf(weights);
        Router.check(variants.stream().map(VariantSource::name).toList(), weights);
        checkPort(grpcPort);
        checkPort(httpPort);
        if (drain.isNegative()) {
            throw LitheException.badInput(
                    "requests cannot go on for %d s; use 0 or more", drain.toSeconds());
        }
        if (grpcPort == httpPort && grpcPort != 0) {
            throw LitheException.badInput(
                    "gRPC and HTTP cannot share port %d; choose another --http-port", grpcPort);
        }
    }

    /// Without an experiment.
    public ServerOptions(
            List<VariantSource> variants,
            Map<String, Double> weights,
            String host,
            int grpcPort,
            int httpPort,
            EngineLimits limits,
            Duration drain,
            boolean verbose) {
        this(
                variants,
                weights,
                host,
                grpcPort,
                httpPort,
                limits,
                drain,
                verbose,
                ExperimentOptions.NONE,
                AccessOptions.OPEN,
                Optional.empty(),
                ObserveOptions.NONE);
    }

    /// With an experiment.
    ///
    /// @throws LitheException where its shadow is no variant
    public ServerOptions with(ExperimentOptions other) {
        List<String> names = variants.stream().map(VariantSource::name).toList();
        other.shadow()
                .filter(name -> !names.contains(name))
                .ifPresent(name -> {
                    throw LitheException.badInput(
                            "the shadow '%s' is no variant; known: %s",
                            name, String.join(", ", names));
                });
        return new ServerOptions(
                variants, weights, host, grpcPort, httpPort, limits, drain, verbose, other, access,
                draft, observe);
    }

    /// With other rules of access.
    public ServerOptions with(AccessOptions other) {
        return new ServerOptions(
                variants,
                weights,
                host,
                grpcPort,
                httpPort,
                limits,
                drain,
                verbose,
                experiment,
                other,
                draft,
                observe);
    }

    /// With a variant that guesses for the first one, or without.
    ///
    /// @throws LitheException where it is no other variant
    public ServerOptions withDraft(Optional<DraftOptions> other) {
        List<String> names = variants.stream().map(VariantSource::name).skip(1).toList();
        other.map(DraftOptions::variant)
                .filter(name -> !names.contains(name))
                .ifPresent(name -> {
                    throw LitheException.badInput(
                            "the draft '%s' is no variant after the first; %s",
                            name,
                            names.isEmpty()
                                    ? "give one with --compressed"
                                    : "known: " + String.join(", ", names));
                });
        return new ServerOptions(
                variants,
                weights,
                host,
                grpcPort,
                httpPort,
                limits,
                drain,
                verbose,
                experiment,
                access,
                other,
                observe);
    }

    /// With another way to tell of itself.
    public ServerOptions with(ObserveOptions other) {
        return new ServerOptions(
                variants,
                weights,
                host,
                grpcPort,
                httpPort,
                limits,
                drain,
                verbose,
                experiment,
                access,
                draft,
                other);
    }

    /// With its variants in other folders, by name.
    public ServerOptions in(Map<String, Path> folders) {
        List<VariantSource> moved =
                variants.stream()
                        .map(each ->
                                new VariantSource(
                                        each.name(),
                                        folders.getOrDefault(each.name(), each.folder()),
                                        each.device()))
                        .toList();
        return new ServerOptions(
                moved,
                weights,
                host,
                grpcPort,
                httpPort,
                limits,
                drain,
                verbose,
                experiment,
                access,
                draft,
                observe);
    }

    /// These variants with equal weights on the default address.
    public static ServerOptions of(List<VariantSource> variants) {
        return new ServerOptions(
                variants,
                Map.of(),
                DEFAULT_HOST,
                DEFAULT_GRPC_PORT,
                DEFAULT_HTTP_PORT,
                EngineLimits.DEFAULT,
                DEFAULT_DRAIN,
                false);
    }

    private static void checkPort(int port) {
        if (port < 0 || port > MAX_PORT) {
            throw LitheException.badInput("port %d; use 0 to %d", port, MAX_PORT);
        }
    }

    /// Fails early, before any model is loaded, where a port is taken. Another process may still
    /// take it in between.
    ///
    /// @throws LitheException naming the port
    public void requireFreePorts() {
        requireFree(grpcPort, "--port");
        requireFree(httpPort, "--http-port");
    }

    private void requireFree(int port, String option) {
        InetAddress address;
        try {
            address = InetAddress.getByName(host);
        } catch (IOException e) {
            throw LitheException.badInput(
                            "host '%s' is unknown; use an address of this machine", host)
                    .causedBy(e);
        }
        try (var socket = new ServerSocket(port, 1, address)) {
            socket.getLocalPort();
        } catch (IOException e) {
            throw LitheException.badInput(
                            "cannot listen on %s port %d (%s); choose another with %s",
                            host, port, e.getMessage(), option)
                    .causedBy(e);
        }
    }
}
