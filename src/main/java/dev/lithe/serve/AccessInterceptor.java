package dev.lithe.serve;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.quarkus.grpc.GlobalInterceptor;
import jakarta.inject.Singleton;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/// Lets in the gRPC calls that [Access] lets in. Health is everybody's, so that probes need no
/// token.
@Singleton
@GlobalInterceptor
class AccessInterceptor implements ServerInterceptor {
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final Context.Key<Boolean> ADMIN = Context.key("lithe-admin");
    private static final String HEALTH = "grpc.health.v1.Health";

    private final Access access;

    AccessInterceptor(Access access) {
        this.access = access;
    }

    /// Fails where the call that this thread handles may not change anything.
    static void requireAdmin() {
        if (!Boolean.TRUE.equals(ADMIN.get())) {
            throw Status.PERMISSION_DENIED
                    .withDescription("this token may not change weights; use an admin's")
                    .asRuntimeException();
        }
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        if (HEALTH.equals(call.getMethodDescriptor().getServiceName())) {
            return next.startCall(call, headers);
        }
        String authorization = headers.get(AUTHORIZATION);
        Optional<Access.Caller> caller =
                access.caller(authorization == null ? "" : authorization, address(call));
        if (caller.isEmpty()) {
            call.close(
                    Status.UNAUTHENTICATED.withDescription(
                            "the call carries no valid token; send 'authorization: Bearer TOKEN'"),
                    new Metadata());
            return new ServerCall.Listener<>() {};
        }
        if (!access.admit(caller.get())) {
            StatusRuntimeException refusal = Statuses.of(access.tooMany());
            Metadata trailers = refusal.getTrailers();
            call.close(refusal.getStatus(), trailers == null ? new Metadata() : trailers);
            return new ServerCall.Listener<>() {};
        }
        Context context = Context.current().withValue(ADMIN, caller.get().admin());
        return Contexts.interceptCall(context, call, headers, next);
    }

    private static String address(ServerCall<?, ?> call) {
        @Nullable SocketAddress remote = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
        return remote instanceof InetSocketAddress inet ? inet.getHostString() : "local";
    }
}
