package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;

/// The seconds of a compression.
class PipelineProgressTest {
    private static final double NANOS_PER_SECOND = 1e9;

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void whatIsMeasuredBetweenLegsIsNoCompressing() {
        long begun = System.nanoTime();
        var err = new PrintWriter(new StringWriter());
        try (var progress = new PipelineProgress(false, err, _ -> pause(1500))) {
            progress.beforeLast(List.of());
            pause(100);
            assertThat(progress.seconds()).isGreaterThanOrEqualTo(0.1);
            double all = (System.nanoTime() - begun) / NANOS_PER_SECOND;
            assertThat(progress.seconds()).isLessThan(all - 1);
        }
    }
}
