package dev.lithe.serve;

import dev.lithe.fault.LitheException;
import io.netty.handler.ssl.SslContextBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import javax.net.ssl.SSLException;

/// Who may ask, and how the connection is protected.
///
/// @param certificate PEM file of the server's certificate chain; with `key`, both ports speak TLS
/// @param key PEM file of its private key
/// @param clientCa PEM file of the authorities whose clients are let in, and no others (mutual TLS)
/// @param tokens file of bearer tokens; see [Access]
/// @param requestsPerSecond of one client; 0 means any number
public record AccessOptions(
        Optional<Path> certificate,
        Optional<Path> key,
        Optional<Path> clientCa,
        Optional<Path> tokens,
        double requestsPerSecond) {
    public static final AccessOptions OPEN =
            new AccessOptions(
                    Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty(), 0);

    private static final double MOST_PER_SECOND = 1e6;

    public AccessOptions {
        if (certificate.isPresent() != key.isPresent()) {
            throw LitheException.badInput(
                    "--tls-cert and --tls-key belong together; give both or none");
        }
        if (clientCa.isPresent() && certificate.isEmpty()) {
            throw LitheException.badInput("--client-ca needs --tls-cert and --tls-key");
        }
        if (!(requestsPerSecond >= 0 && requestsPerSecond <= MOST_PER_SECOND)) {
            throw LitheException.badInput(
                    "--rate %s; use 0 (any) to %s requests per second",
                    requestsPerSecond, MOST_PER_SECOND);
        }
        require("--tls-cert", certificate);
        require("--tls-key", key);
        require("--client-ca", clientCa);
        require("--token-file", tokens);
        certificate.ifPresent(chain -> requirePem(chain, key.orElseThrow(), clientCa));
    }

    private static void requirePem(Path chain, Path key, Optional<Path> clientCa) {
        try {
            var context = SslContextBuilder.forServer(chain.toFile(), key.toFile());
            clientCa.ifPresent(file -> context.trustManager(file.toFile()));
            var _ = context.build();
        } catch (IllegalArgumentException | SSLException e) {
            throw LitheException.badInput(
                            "--tls-cert %s and --tls-key %s%s are not a PEM chain and its key: %s",
                            chain,
                            key,
                            clientCa.map(file -> ", or --client-ca " + file + ",").orElse(""),
                            e.getMessage())
                    .causedBy(e);
        }
    }

    private static void require(String option, Optional<Path> file) {
        file.filter(path -> !Files.isReadable(path))
                .ifPresent(path -> {
                    throw LitheException.badInput("%s %s cannot be read", option, path);
                });
    }

    /// `http` or `https`.
    public String scheme() {
        return certificate.isPresent() ? "https" : "http";
    }
}
