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
import org.jspecify.annotations.Nullable;

/// The metadata `x-variant` and `x-ab-key`: reads them from a request, and names the variant that
/// answered in the response's headers, or in its trailers where it fails before any.
@Singleton
@GlobalInterceptor
class CallVariant implements ServerInterceptor {
    /// Names a variant, in both directions.
    static final Metadata.Key<String> KEY =
            Metadata.Key.of("x-variant", Metadata.ASCII_STRING_MARSHALLER);

    /// Whose requests all go to one variant.
    private static final Metadata.Key<String> AB_KEY =
            Metadata.Key.of("x-ab-key", Metadata.ASCII_STRING_MARSHALLER);

    /// What one call asked for and got.
    static final class Choice {
        private final String asked;
        private final String key;
        private final CallRecord record;
        private volatile String chosen = "";

        /// @param asked the name in the request's metadata, or null
        /// @param key its `x-ab-key`, or null
        Choice(@Nullable String asked, @Nullable String key, CallRecord record) {
            this.asked = asked == null ? "" : asked;
            this.key = key == null ? "" : key;
            this.record = record;
        }

        /// The name in the request's metadata, or empty.
        String asked() {
            return asked;
        }

        /// The key in the request's metadata, or empty.
        String key() {
            return key;
        }

        CallRecord record() {
            return record;
        }

        /// The variant that answers; empty before one was chosen.
        String chosen() {
            return chosen;
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
        return choice == null ? new Choice(null, null, CallRecords.current()) : choice;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        var choice = new Choice(headers.get(KEY), headers.get(AB_KEY), CallRecords.current());
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
