package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.lithe.proto.v1.ListVariantsRequest;
import dev.lithe.proto.v1.ModelServiceGrpc;
import grpc.health.v1.HealthGrpc;
import grpc.health.v1.HealthOuterClass.HealthCheckRequest;
import grpc.health.v1.HealthOuterClass.HealthCheckResponse.ServingStatus;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import io.quarkus.grpc.runtime.GrpcServer;
import io.quarkus.test.junit.QuarkusTest;
import io.quarkus.test.junit.QuarkusTestProfile;
import io.quarkus.test.junit.TestProfile;
import io.quarkus.vertx.http.HttpServer;
import jakarta.inject.Inject;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import org.junit.jupiter.api.Test;

/// Both ports with a certificate, for clients that have one.
@QuarkusTest
@TestProfile(TlsTest.Mutual.class)
class TlsTest {
    @Inject GrpcServer grpc;
    @Inject HttpServer http;

    /// What `Server` sets where certificates are given.
    public static final class Mutual implements QuarkusTestProfile {
        static final Path FOLDER = Path.of("target", "tls-test");

        @Override
        public Map<String, String> getConfigOverrides() {
            try {
                Files.createDirectories(FOLDER);
                for (String name : new String[] {"server", "client", "stranger"}) {
                    Files.deleteIfExists(FOLDER.resolve(name + ".p12"));
                }
                Files.writeString(FOLDER.resolve("tokens"), "secret\n");
            } catch (IOException e) {
                throw new AssertionError(e);
            }
            Certificates server = Certificates.make(FOLDER, "server");
            Certificates client = Certificates.make(FOLDER, "client");
            Certificates.make(FOLDER, "stranger");
            return Map.of(
                    "lithe.tls.certificate", server.certificate().toAbsolutePath().toString(),
                    "lithe.tls.key", server.key().toAbsolutePath().toString(),
                    "lithe.tls.client-ca", client.certificate().toAbsolutePath().toString(),
                    "lithe.tokens", FOLDER.resolve("tokens").toAbsolutePath().toString(),
                    "quarkus.grpc.server.plain-text", "false",
                    "quarkus.grpc.server.ssl.client-auth", "required");
        }
    }

    private static Path file(String name) {
        return Mutual.FOLDER.resolve(name);
    }

    private static ChannelCredentials credentials(String client) throws IOException {
        var builder = TlsChannelCredentials.newBuilder().trustManager(file("server.pem").toFile());
        if (!client.isEmpty()) {
            builder.keyManager(file(client + ".pem").toFile(), file(client + ".key").toFile());
        }
        return builder.build();
    }

    private Status.Code health(ChannelCredentials credentials) {
        ManagedChannel channel =
                Grpc.newChannelBuilder("127.0.0.1:" + grpc.getPort(), credentials).build();
        try {
            ServingStatus status =
                    HealthGrpc.newBlockingStub(channel)
                            .withDeadlineAfter(30, TimeUnit.SECONDS)
                            .check(HealthCheckRequest.getDefaultInstance())
                            .getStatus();
            assertThat(status).isEqualTo(ServingStatus.NOT_SERVING);
            return Status.Code.OK;
        } catch (StatusRuntimeException e) {
            return e.getStatus().getCode();
        } finally {
            channel.shutdownNow();
        }
    }

    @Test
    void grpcAnswersWhoHasACertificateAndNobodyElse() throws IOException {
        assertThat(health(credentials("client"))).isEqualTo(Status.Code.OK);
        assertThat(health(credentials("stranger"))).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(health(credentials(""))).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(health(InsecureChannelCredentials.create())).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(health(TlsChannelCredentials.create()))
                .as("one that does not trust the server")
                .isEqualTo(Status.Code.UNAVAILABLE);
    }

    private Status.Code list(String token) throws IOException {
        ManagedChannel channel =
                Grpc.newChannelBuilder("127.0.0.1:" + grpc.getPort(), credentials("client"))
                        .build();
        var metadata = new Metadata();
        metadata.put(
                Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
                "Bearer " + token);
        try {
            return catchThrowableOfType(
                            StatusRuntimeException.class,
                            () ->
                                    ModelServiceGrpc.newBlockingStub(channel)
                                            .withDeadlineAfter(30, TimeUnit.SECONDS)
                                            .withInterceptors(
                                                    MetadataUtils.newAttachHeadersInterceptor(
                                                            metadata))
                                            .listVariants(ListVariantsRequest.getDefaultInstance()))
                    .getStatus()
                    .getCode();
        } finally {
            channel.shutdownNow();
        }
    }

    @Test
    void tokensAreAskedForBesides() throws IOException, InterruptedException {
        // No model is loaded, which only those hear who are let in.
        assertThat(list("secret")).isEqualTo(Status.Code.UNAVAILABLE);
        assertThat(list("wrong")).isEqualTo(Status.Code.UNAUTHENTICATED);
        assertThat(get("https", "client", "/v1/models", "secret")).isEqualTo(503);
        assertThat(get("https", "client", "/v1/models", "wrong")).isEqualTo(401);
    }

    private int get(String scheme, String client, String path, String token)
            throws IOException, InterruptedException {
        SSLContext context =
                Certificates.open(Mutual.FOLDER, "server")
                        .trustedBy(Certificates.open(Mutual.FOLDER, client));
        try (HttpClient reader = HttpClient.newBuilder().sslContext(context).build()) {
            URI address = URI.create(scheme + "://127.0.0.1:" + http.getPort() + path);
            var request =
                    HttpRequest.newBuilder(address).header("authorization", "Bearer " + token);
            return reader.send(request.build(), HttpResponse.BodyHandlers.discarding())
                    .statusCode();
        }
    }

    @Test
    void httpAnswersWhoHasACertificateAndNobodyElse() throws IOException, InterruptedException {
        assertThat(get("https", "client", "/q/health/live", "")).isEqualTo(200);
        assertThatThrownBy(() -> get("https", "stranger", "/q/health/live", ""))
                .isInstanceOf(IOException.class);
        assertThatThrownBy(() -> get("http", "client", "/q/health/live", ""))
                .isInstanceOf(IOException.class);
    }
}
