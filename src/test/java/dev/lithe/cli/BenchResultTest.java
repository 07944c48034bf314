package dev.lithe.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.evaluate.LatencySamples;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/// What is said of times that are known.
class BenchResultTest {
    private static final int REQUESTS = 20;

    /// Times that vary by a tenth from request to request.
    private static LatencySamples samples(double middle) {
        double[] millis =
                IntStream.range(0, REQUESTS)
                        .mapToDouble(i -> middle * (0.95 + 0.1 * i / (REQUESTS - 1)))
                        .toArray();
        return new LatencySamples(4, millis, millis);
    }

    @Test
    void theIntervalDecides() {
        SequencedMap<String, LatencySamples> measured = new LinkedHashMap<>();
        measured.put("original", samples(10));
        measured.put("half", samples(5));
        measured.put("double", samples(20));
        String table = new BenchResult("x", REQUESTS, 8, 4, 0, 1, measured, samples(10)).table();
        String[] rows = table.split("ratio of medians", -1)[1].split("\\R", -1);
        assertThat(rows[1]).isEqualTo("original (again)");
        assertThat(rows[2]).contains("1.000 [", "no detectable difference");
        assertThat(rows[4]).isEqualTo("half");
        assertThat(rows[5]).contains("0.500 [").endsWith(" faster");
        assertThat(rows[7]).isEqualTo("double");
        assertThat(rows[8]).contains("2.000 [").endsWith(" slower");
    }
}
