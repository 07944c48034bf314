package dev.lithe.serve;

import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.quarkus.grpc.GlobalInterceptor;
import jakarta.inject.Singleton;

/// The metadata `x-variant`: reads it from a request, and names the variant that answered in the
/// response's headers, or in its trailers where it fails before any.
@Singleton
@GlobalInterceptor
class CallVariant implements ServerInterceptor {
    /// Names a variant, in both directions.
    static final Metadata.Key<String> KEY =
            Metadata.Key.of("x-variant", Metadata.ASCII_STRING_MARSHALLER);

    /// What one call asked for and got.
    static final class Choice {
        private final String asked;
        private volatile String chosen = "";

        private Choice(String asked) {
            this.asked = asked;
        }

        /// The name in the request's metadata, or empty.
        String asked() {
            return asked;
        }

        void chose(String variant) {
            chosen = variant;
        }

        private void writeTo(Metadata metadata) {
            if (!chosen.isEmpty()) {
                metadata.discardAll(KEY);
                metadata.put(KEY, chosen);
            }
        }
    }

    private static final Context.Key<Choice> CHOICE = Context.key("lithe-variant");

    /// The choice of the call that this thread handles.
    static Choice current() {
        Choice choice = CHOICE.get();
        return choice == null ? new Choice("") : choice;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        String asked = headers.get(KEY);
        var choice = new Choice(asked == null ? "" : asked);
        var named =
                new SimpleForwardingServerCall<Q, A>(call) {
                    @Override
                    public void sendHeaders(Metadata answer) {
                        choice.writeTo(answer);
                        super.sendHeaders(answer);
                    }

                    @Override
                    public void close(Status status, Metadata trailers) {
                        choice.writeTo(trailers);
                        super.close(status, trailers);
                    }
                };
        return Contexts.interceptCall(
                Context.current().withValue(CHOICE, choice), named, headers, next);
    }
}
