package dev.lithe.serve;

import io.quarkus.grpc.api.ServerBuilderCustomizer;
import io.quarkus.grpc.runtime.config.GrpcServerConfiguration;
import io.quarkus.vertx.http.HttpServerOptionsCustomizer;
import io.vertx.core.http.ClientAuth;
import io.vertx.core.http.HttpServerOptions;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.grpc.VertxServerBuilder;
import jakarta.inject.Singleton;
import java.util.Optional;
import org.eclipse.microprofile.config.inject.ConfigProperty;

/// Has both ports speak TLS 1.2 or 1.3, and nothing else, where there is a certificate.
final class Tls {
    private Tls() {}

    /// Names of the files.
    @Singleton
    static class Files {
        private final Optional<String> certificate;
        private final Optional<String> key;
        private final Optional<String> clientCa;

        Files(
                @ConfigProperty(name = "lithe.tls.certificate") Optional<String> certificate,
                @ConfigProperty(name = "lithe.tls.key") Optional<String> key,
                @ConfigProperty(name = "lithe.tls.client-ca") Optional<String> clientCa) {
            this.certificate = certificate;
            this.key = key;
            this.clientCa = clientCa;
        }

        boolean given() {
            return certificate.isPresent() && key.isPresent();
        }

        void applyTo(HttpServerOptions options) {
            options.setSsl(true)
                    .setUseAlpn(true)
                    .setKeyCertOptions(
                            new PemKeyCertOptions()
                                    .setCertPath(certificate.orElseThrow())
                                    .setKeyPath(key.orElseThrow()));
            clientCa.ifPresent(file ->
                    options.setClientAuth(ClientAuth.REQUIRED)
                            .setTrustOptions(new PemTrustOptions().addCertPath(file)));
        }
    }

    /// The port for HTTP.
    @Singleton
    static class Http implements HttpServerOptionsCustomizer {
        private final Files files;

        Http(Files files) {
            this.files = files;
        }

        @Override
        public void customizeHttpServer(HttpServerOptions options) {
            if (files.given()) {
                files.applyTo(options);
            }
        }
    }

    /// The port for gRPC.
    @Singleton
    static class Grpc implements ServerBuilderCustomizer<VertxServerBuilder> {
        private final Files files;

        Grpc(Files files) {
            this.files = files;
        }

        @Override
        public void customize(GrpcServerConfiguration config, VertxServerBuilder builder) {
            if (files.given()) {
                builder.useSsl(files::applyTo);
            }
        }
    }
}
