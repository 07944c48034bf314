package dev.lithe.serve;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.fault.LitheException;
import dev.lithe.proto.v1.TokenizeRequest;
import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/// What the threads before the engine take on, and what they leave.
class PreparationTest {
    private static final TokenizeRequest SMALL = TokenizeRequest.getDefaultInstance();
    private static final TokenizeRequest LARGE =
            TokenizeRequest.newBuilder().setText("x".repeat(4_000_000)).build();

    private final Preparation preparation = new Preparation();
    private final CountDownLatch opened = new CountDownLatch(1);
    private final AtomicInteger done = new AtomicInteger();

    @AfterEach
    void stop() {
        opened.countDown();
        preparation.stop(Duration.ofSeconds(30));
    }

    /// Occupies both threads until the test lets them go on.
    private void hold(TokenizeRequest request) {
        var reached = new CountDownLatch(2);
        for (int i = 0; i < 2; i++) {
            preparation.run(
                    Call.of(new RecordedCall<>()),
                    request,
                    () -> {
                        reached.countDown();
                        await(opened);
                    });
        }
        await(reached);
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private RecordedCall<Object> submit(TokenizeRequest request) {
        var observer = new RecordedCall<>();
        preparation.run(Call.of(observer), request, done::incrementAndGet);
        return observer;
    }

    @Test
    void callsThatWereGivenUpAreNotReadAnymore() {
        hold(SMALL);
        List<RecordedCall<Object>> left = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            left.add(submit(SMALL));
        }
        left.forEach(RecordedCall::leave);
        submit(SMALL);
        opened.countDown();
        assertThat(preparation.stop(Duration.ofSeconds(30))).isTrue();
        assertThat(done).hasValue(1);
    }

    @Test
    void callsWhoseTimeRanOutAreNotReadAnymore() {
        hold(SMALL);
        try (var clock = Executors.newSingleThreadScheduledExecutor()) {
            var late = Context.current().withDeadlineAfter(1, TimeUnit.NANOSECONDS, clock);
            late.run(() -> submit(SMALL));
            opened.countDown();
            assertThat(preparation.stop(Duration.ofSeconds(30))).isTrue();
            late.cancel(null);
        }
        assertThat(done).hasValue(0);
    }

    @Test
    void longTextsAreRefusedRatherThanKept() {
        hold(LARGE);
        Status refused = submit(LARGE).status();
        assertThat(refused.getCode()).isEqualTo(Status.Code.RESOURCE_EXHAUSTED);
        assertThat(refused.getDescription())
                .contains("" + LARGE.getSerializedSize(), "" + Preparation.WAITING_BYTES);
        submit(SMALL);
        opened.countDown();
        Eventually.holds("the small one is read", () -> done.get() == 1);
        Eventually.holds(
                "there is room again",
                () -> {
                    submit(LARGE);
                    return done.get() >= 2;
                });
    }

    @Test
    void aRefusalEstimatesTheWaitByWhatReadingTook() {
        var refused = new CompletableFuture<LitheException>();
        var caller =
                new Preparation.Caller() {
                    @Override
                    public boolean over() {
                        return false;
                    }

                    @Override
                    public void fail(RuntimeException error) {
                        refused.complete((LitheException) error);
                    }
                };
        preparation.run(
                caller,
                1_000_000,
                () -> {
                    try {
                        Thread.sleep(200);
                    } catch (InterruptedException e) {
                        throw new AssertionError(e);
                    }
                    done.incrementAndGet();
                });
        Eventually.holds("the first is read", () -> done.get() == 1);
        hold(LARGE);
        preparation.run(caller, 4_000_000, done::incrementAndGet);
        // 8 MB wait for two threads, each of which reads 5 MB a second or less.
        assertThat(refused.join().retry().orElseThrow())
                .isBetween(Duration.ofMillis(790), Duration.ofSeconds(30));
    }

    @Test
    void stoppingWaitsForWhatIsUnderWay() {
        hold(SMALL);
        CompletableFuture<Boolean> stopped =
                CompletableFuture.supplyAsync(() -> preparation.stop(Duration.ofSeconds(30)));
        Eventually.holds(
                "later calls are refused",
                () ->
                        submit(SMALL).ended()
                                && submit(SMALL).status().getCode() == Status.Code.UNAVAILABLE);
        assertThat(stopped).isNotDone();
        opened.countDown();
        assertThat(stopped.orTimeout(30, TimeUnit.SECONDS).join()).isTrue();
    }
}
