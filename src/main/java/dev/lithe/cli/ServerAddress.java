package dev.lithe.cli;

import dev.lithe.serve.ServerOptions;
import picocli.CommandLine.Option;

/// Where a command serves: options that all serving commands share.
final class ServerAddress {
    @Option(
            names = "--host",
            defaultValue = ServerOptions.DEFAULT_HOST,
            description = "Address to listen on; 0.0.0.0 for all. Default: ${DEFAULT-VALUE}.")
    private String host = ServerOptions.DEFAULT_HOST;

    @Option(
            names = "--port",
            defaultValue = "" + ServerOptions.DEFAULT_GRPC_PORT,
            description = "Port for gRPC. Default: ${DEFAULT-VALUE}.")
    private int grpcPort = ServerOptions.DEFAULT_GRPC_PORT;

    @Option(
            names = "--http-port",
            defaultValue = "" + ServerOptions.DEFAULT_HTTP_PORT,
            description = "Port for health and metrics over HTTP. Default: ${DEFAULT-VALUE}.")
    private int httpPort = ServerOptions.DEFAULT_HTTP_PORT;

    String host() {
        return host;
    }

    int grpcPort() {
        return grpcPort;
    }

    int httpPort() {
        return httpPort;
    }
}
