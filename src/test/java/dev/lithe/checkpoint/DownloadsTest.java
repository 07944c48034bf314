package dev.lithe.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.fault.LitheException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class DownloadsTest {
    private static final int COUNT = 12;

    @Test
    void aFewRunAtATime() {
        var bytes = new AtomicLong();
        var running = new AtomicInteger();
        var most = new AtomicInteger();
        var full = new CountDownLatch(Downloads.AT_ONCE);
        var downloads = new Downloads(bytes::addAndGet);
        for (int i = 0; i < COUNT; i++) {
            downloads.add(progress -> {
                most.accumulateAndGet(running.incrementAndGet(), Math::max);
                full.countDown();
                await(full);
                progress.accept(3);
                running.decrementAndGet();
            });
        }
        downloads.finish();
        assertThat(most).hasValue(Downloads.AT_ONCE);
        assertThat(bytes).hasValue(3L * COUNT);
    }

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void theFirstThatFailsEndsTheOthers() {
        var begun = new AtomicInteger();
        var never = new CountDownLatch(1);
        var waits = new CountDownLatch(1);
        var downloads = new Downloads(_ -> {});
        downloads.add(_ -> {
            begun.incrementAndGet();
            waits.countDown();
            await(never); // until it is interrupted
        });
        downloads.add(_ -> {
            await(waits);
            throw LitheException.badInput("it is gated");
        });
        for (int i = 0; i < COUNT; i++) {
            downloads.add(_ -> await(never));
        }
        assertThatThrownBy(downloads::finish)
                .isInstanceOf(LitheException.class)
                .hasMessage("it is gated");
        assertThat(begun).hasValue(1);
    }
}
