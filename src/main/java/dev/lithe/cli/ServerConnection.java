package dev.lithe.cli;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.GenerationServiceGrpc;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceBlockingStub;
import dev.lithe.proto.v1.GenerationServiceGrpc.GenerationServiceStub;
import dev.lithe.proto.v1.ModelServiceGrpc;
import dev.lithe.proto.v1.ModelServiceGrpc.ModelServiceBlockingStub;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// A client's connection to a running server.
final class ServerConnection implements AutoCloseable {
    /// Where a server listens unless told otherwise.
    static final String DEFAULT_TARGET = "127.0.0.1:9000";

    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private static final Pattern TARGET =
            Pattern.compile("(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+]):([0-9]{1,5})");
    private static final int MAX_PORT = 65_535;

    private final String target;
    private final ManagedChannel channel;

    private ServerConnection(String target, String token, ChannelCredentials credentials) {
        this.target = target;
        var builder = Grpc.newChannelBuilder("dns:///" + target, credentials);
        if (!token.isEmpty()) {
            var metadata = new Metadata();
            metadata.put(AUTHORIZATION, "Bearer " + token);
            builder.intercept(MetadataUtils.newAttachHeadersInterceptor(metadata));
        }
        this.channel = builder.build();
    }

    /// A connection to `host:port`; it is made with the first call.
    ///
    /// @param token sent with each call, if not empty
    /// @param authorities those that vouch for the server's certificate; null means no TLS
    /// @throws LitheException where that is no address
    static ServerConnection open(String target, String token, @Nullable Path authorities) {
        Matcher matcher = TARGET.matcher(target);
        if (!matcher.matches() || port(matcher) > MAX_PORT) {
            throw LitheException.badInput(
                    "target '%s' is no host:port; use for example %s", target, DEFAULT_TARGET);
        }
        return new ServerConnection(target, token, credentials(authorities));
    }

    private static ChannelCredentials credentials(@Nullable Path authorities) {
        if (authorities == null) {
            return InsecureChannelCredentials.create();
        }
        try {
            return TlsChannelCredentials.newBuilder().trustManager(authorities.toFile()).build();
        } catch (IOException e) {
            throw LitheException.badInput("--tls-ca %s: %s", authorities, e.getMessage())
                    .causedBy(e);
        }
    }

    private static int port(Matcher matcher) {
        return Integer.parseInt(matcher.group(1));
    }

    GenerationServiceBlockingStub generation() {
        return GenerationServiceGrpc.newBlockingStub(channel);
    }

    /// For calls against the clock: what comes is handled on the network's thread.
    ///
    /// @param seconds after which a call is given up
    GenerationServiceStub streams(int seconds) {
        return GenerationServiceGrpc.newStub(channel)
                .withExecutor(Runnable::run)
                .withInterceptors(new Deadlines(seconds));
    }

    /// Gives each call a deadline of its own; a stub's would count from when it was set.
    private record Deadlines(int seconds) implements ClientInterceptor {
        @Override
        public <Q, A> ClientCall<Q, A> interceptCall(
                MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
            return next.newCall(method, options.withDeadlineAfter(seconds, TimeUnit.SECONDS));
        }
    }

    ModelServiceBlockingStub models() {
        return ModelServiceGrpc.newBlockingStub(channel);
    }

    /// Runs calls and tells what went wrong in the program's own terms.
    <T> T call(Supplier<T> calls) {
        try {
            return calls.get();
        } catch (StatusRuntimeException e) {
            throw fault(e).causedBy(e);
        }
    }

    private LitheException fault(StatusRuntimeException e) {
        String reason =
                String.valueOf(e.getStatus().getDescription())
                        .lines()
                        .findFirst()
                        .orElse("no reason given");
        return switch (e.getStatus().getCode()) {
            case UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT, OUT_OF_RANGE ->
                    LitheException.badInput("%s", reason);
            case NOT_FOUND -> LitheException.of(Fault.NOT_FOUND, "%s", reason);
            case RESOURCE_EXHAUSTED -> LitheException.of(Fault.EXHAUSTED, "%s", reason);
            case DEADLINE_EXCEEDED -> LitheException.of(Fault.DEADLINE, "%s", reason);
            case CANCELLED -> LitheException.of(Fault.CANCELLED, "%s", reason);
            case UNAVAILABLE ->
                    LitheException.of(
                            Fault.UNAVAILABLE,
                            "no answer from %s (%s); is 'lithe serve' running there?",
                            target,
                            reason);
            case OK,
                    UNKNOWN,
                    ALREADY_EXISTS,
                    FAILED_PRECONDITION,
                    ABORTED,
                    UNIMPLEMENTED,
                    INTERNAL,
                    DATA_LOSS ->
                    LitheException.of(
                            Fault.INTERNAL,
                            "%s answered %s: %s",
                            target,
                            e.getStatus().getCode(),
                            reason);
        };
    }

    @Override
    public void close() {
        channel.shutdownNow();
    }
}
