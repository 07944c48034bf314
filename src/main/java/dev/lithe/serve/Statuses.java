package dev.lithe.serve;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.Code;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/// Faults as gRPC statuses with google.rpc details.
final class Statuses {
    private static final System.Logger LOG = System.getLogger(Statuses.class.getName());

    /// When a refused request may come again where nobody estimated it.
    private static final Duration RETRY = Duration.ofSeconds(1);

    /// Where the request holds the fields that the rooms below know by their last name.
    private static final Map<String, String> PATHS =
            Map.ofEntries(
                    Map.entry("request_id", "input.request_id"),
                    Map.entry("prompt", "input.prompt"),
                    Map.entry("temperature", "input.temperature"),
                    Map.entry("top_k", "input.sampling.top_k"),
                    Map.entry("top_p", "input.sampling.top_p"),
                    Map.entry("min_p", "input.sampling.min_p"),
                    Map.entry("repetition_penalty", "input.decoding.repetition_penalty"),
                    Map.entry("max_new_tokens", "input.stopping.max_new_tokens"),
                    Map.entry("top_logprobs", "input.response.top_logprobs"),
                    Map.entry("stop_strings", "input.stopping.stop_strings"));

    private Statuses() {}

    /// What a client gets to see of any exception. One that is the server's own fault goes to its
    /// log, and the client gets a number to find it there.
    static StatusRuntimeException of(RuntimeException e) {
        if (e instanceof StatusRuntimeException status) {
            return status;
        }
        LitheException known =
                e instanceof LitheException lithe
                        ? lithe
                        : LitheException.internal("the request failed: " + e, e);
        var status = Status.newBuilder().setCode(code(known.fault()).getNumber());
        status.setMessage(known.fault() == Fault.INTERNAL ? log(known) : known.getMessage());
        known.field().ifPresent(field -> status.addDetails(Any.pack(violation(field, known))));
        if (known.fault() == Fault.EXHAUSTED) {
            status.addDetails(Any.pack(retry(retry(known))));
        }
        return StatusProto.toStatusRuntimeException(status.build());
    }

    /// When a request that was refused may come again.
    static Duration retry(LitheException e) {
        return e.retry().orElse(RETRY);
    }

    private static RetryInfo retry(Duration wait) {
        var delay =
                com.google.protobuf.Duration.newBuilder()
                        .setSeconds(wait.getSeconds())
                        .setNanos(wait.getNano());
        return RetryInfo.newBuilder().setRetryDelay(delay).build();
    }

    /// Writes an internal error to the log; what to say of it instead.
    static String log(LitheException e) {
        String id = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextInt());
        LOG.log(Level.ERROR, "internal error " + id, e);
        return "internal error " + id + "; the server's log tells more under this number";
    }

    private static BadRequest violation(String field, LitheException e) {
        var violation =
                BadRequest.FieldViolation.newBuilder()
                        .setField(PATHS.getOrDefault(field, field))
                        .setDescription(e.getMessage());
        return BadRequest.newBuilder().addFieldViolations(violation).build();
    }

    private static Code code(Fault fault) {
        return switch (fault) {
            case BAD_INPUT -> Code.INVALID_ARGUMENT;
            case NOT_FOUND -> Code.NOT_FOUND;
            case EXHAUSTED -> Code.RESOURCE_EXHAUSTED;
            case UNAVAILABLE -> Code.UNAVAILABLE;
            case CANCELLED -> Code.CANCELLED;
            case DEADLINE -> Code.DEADLINE_EXCEEDED;
            case QUALITY_GATE -> Code.FAILED_PRECONDITION;
            case INTERNAL -> Code.INTERNAL;
        };
    }
}
