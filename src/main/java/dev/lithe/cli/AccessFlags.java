package dev.lithe.cli;

import dev.lithe.serve.AccessOptions;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// Who may ask a server, and how the connection is protected.
final class AccessFlags {
    @Option(
            names = "--tls-cert",
            paramLabel = "FILE",
            description = "Certificate chain (PEM); with --tls-key, both ports speak TLS.")
    private @Nullable Path certificate;

    @Option(names = "--tls-key", paramLabel = "FILE", description = "Its private key (PEM).")
    private @Nullable Path key;

    @Option(
            names = "--client-ca",
            paramLabel = "FILE",
            description = "Let in only clients with a certificate of these authorities (PEM).")
    private @Nullable Path clientCa;

    @Option(
            names = "--token-file",
            paramLabel = "FILE",
            description =
                    "Let in only calls with a bearer token of this file: one a line;"
                            + " 'admin TOKEN' may change weights.")
    private @Nullable Path tokens;

    @Option(
            names = "--rate",
            paramLabel = "NUMBER",
            defaultValue = "0",
            description =
                    "Most requests per second of one token or address, those within a batch or a"
                            + " stream counted each; 0 for any number.")
    private double requestsPerSecond;

    AccessOptions options() {
        return new AccessOptions(
                Optional.ofNullable(certificate),
                Optional.ofNullable(key),
                Optional.ofNullable(clientCa),
                Optional.ofNullable(tokens),
                requestsPerSecond);
    }
}
