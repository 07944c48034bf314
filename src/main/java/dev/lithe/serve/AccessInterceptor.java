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
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// Lets in the gRPC calls that [Access] lets in. Health is everybody's, so that probes need no
/// token.
@Singleton
@GlobalInterceptor
class AccessInterceptor implements ServerInterceptor {
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final Context.Key<Visitor> VISITOR = Context.key("lithe-visitor");
    private static final String HEALTH = "grpc.health.v1.Health";

    private final Access access;

    AccessInterceptor(Access access) {
        this.access = access;
    }

    /// Who made a call.
    private record Visitor(Access access, String authorization, String address) {
        /// @throws StatusRuntimeException where the token is not, or no more, among those let in
        Access.Caller caller() {
            return access.caller(authorization, address)
                    .orElseThrow(() ->
                            Status.UNAUTHENTICATED
                                    .withDescription(
                                            "the call carries no valid token; send"
                                                    + " 'authorization: Bearer TOKEN'")
                                    .asRuntimeException());
        }

        void admit(int requests) {
            access.admit(caller(), requests);
        }
    }

    /// What the call that this thread handles takes, from any thread, for the requests that it
    /// holds beyond its first; fails where its token or its rate does not let it.
    static IntConsumer further() {
        Visitor visitor = VISITOR.get();
        return visitor == null ? _ -> {} : visitor::admit;
    }

    /// Fails where the call that this thread handles may not change anything.
    static void requireAdmin() {
        Visitor visitor = VISITOR.get();
        if (visitor == null || !visitor.caller().admin()) {
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
        var visitor =
                new Visitor(access, authorization == null ? "" : authorization, address(call));
        try {
            visitor.admit(1);
        } catch (RuntimeException e) {
            StatusRuntimeException refusal = Statuses.of(e);
            Metadata trailers = refusal.getTrailers();
            call.close(refusal.getStatus(), trailers == null ? new Metadata() : trailers);
            return new ServerCall.Listener<>() {};
        }
        Context context = Context.current().withValue(VISITOR, visitor);
        return Contexts.interceptCall(context, call, headers, next);
    }

    private static String address(ServerCall<?, ?> call) {
        @Nullable SocketAddress remote = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
        return remote instanceof InetSocketAddress inet ? inet.getHostString() : "local";
    }
}
