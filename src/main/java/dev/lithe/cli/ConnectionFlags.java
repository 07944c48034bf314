package dev.lithe.cli;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// Which server a client speaks to, and how: options that all clients share.
final class ConnectionFlags {
    @Option(
            names = "--target",
            paramLabel = "HOST:PORT",
            defaultValue = ServerConnection.DEFAULT_TARGET,
            description = "Where the server listens. Default: ${DEFAULT-VALUE}.")
    private String target = ServerConnection.DEFAULT_TARGET;

    @Option(
            names = "--token",
            paramLabel = "TOKEN",
            defaultValue = "${env:LITHE_TOKEN:-}",
            description = "Bearer token; better in the variable LITHE_TOKEN.")
    private String token = "";

    @Option(
            names = "--tls-ca",
            paramLabel = "FILE",
            description = "Speak TLS with a server of these authorities (PEM).")
    private @Nullable Path authorities;

    String target() {
        return target;
    }

    ServerConnection open() {
        return ServerConnection.open(target, token, authorities);
    }
}
