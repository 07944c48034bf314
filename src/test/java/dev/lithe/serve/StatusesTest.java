package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.RetryInfo;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// Which errors are told to whom.
class StatusesTest {
    private static final class Kept extends Handler {
        final List<LogRecord> records = new CopyOnWriteArrayList<>();

        @Override
        public void publish(LogRecord entry) {
            records.add(entry);
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
    }

    private final Logger log = Logger.getLogger(Statuses.class.getName());
    private final Kept kept = new Kept();

    @BeforeEach
    void listen() {
        log.addHandler(kept);
        log.setUseParentHandlers(false);
    }

    @AfterEach
    void leave() {
        log.removeHandler(kept);
        log.setUseParentHandlers(true);
    }

    @Test
    void whoIsRefusedHearsWhenToComeBack() throws InvalidProtocolBufferException {
        LitheException full = LitheException.of(Fault.EXHAUSTED, "full");
        for (var each :
                Map.of(full, 1000L, full.retryAfter(Duration.ofMillis(2500)), 2500L).entrySet()) {
            var status = StatusProto.fromThrowable(Statuses.of(each.getKey()));
            RetryInfo retry = status.getDetails(0).unpack(RetryInfo.class);
            Duration delay =
                    Duration.ofSeconds(
                            retry.getRetryDelay().getSeconds(), retry.getRetryDelay().getNanos());
            assertThat(delay.toMillis()).isEqualTo(each.getValue());
        }
        assertThat(HttpErrors.of(full.retryAfter(Duration.ofMillis(2500))).retrySeconds())
                .isEqualTo(3);
    }

    @Test
    void theServersOwnFaultsAreLoggedAndToldByNumber() {
        var cause = new IllegalStateException("a secret");
        StatusRuntimeException told = Statuses.of(cause);
        assertThat(told.getStatus().getCode()).isEqualTo(Status.Code.INTERNAL);
        String description = String.valueOf(told.getStatus().getDescription());
        assertThat(description).matches("internal error [0-9a-f]{8}; [^\n]*");
        assertThat(description).doesNotContain("secret");
        assertThat(kept.records).hasSize(1);
        LogRecord entry = kept.records.getFirst();
        assertThat(entry.getMessage()).isEqualTo(description.split(";")[0]);
        assertThat(entry.getThrown()).hasRootCause(cause);
    }

    @Test
    void theClientsFaultsAreToldAndNotLogged() {
        StatusRuntimeException told = Statuses.of(LitheException.badField("top_k", "%d", -1));
        assertThat(told.getStatus().getDescription()).isEqualTo("top_k: -1");
        assertThat(kept.records).isEmpty();
    }
}
