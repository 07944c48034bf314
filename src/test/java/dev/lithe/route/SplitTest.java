package dev.lithe.route;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// Keys go where weights say, and stay there.
class SplitTest {
    private static final int KEYS = 20_000;
    private static final List<String> NAMES = List.of("a", "b", "c");

    private static Map<String, Integer> counts(Split split) {
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < KEYS; i++) {
            counts.merge(split.of("key-" + i), 1, Integer::sum);
        }
        return counts;
    }

    @Test
    void keysFollowWeights() {
        Map<String, Integer> counts = counts(Split.of(NAMES, Map.of("a", 5.0, "b", 3.0, "c", 2.0)));
        assertThat(counts.get("a") / (double) KEYS).isCloseTo(0.5, within(0.015));
        assertThat(counts.get("b") / (double) KEYS).isCloseTo(0.3, within(0.015));
        assertThat(counts.get("c") / (double) KEYS).isCloseTo(0.2, within(0.015));
        assertThat(counts(Split.of(NAMES, Map.of("a", 1.0, "c", 1.0)))).doesNotContainKey("b");
    }

    @Test
    void aChangeMovesNoMoreKeysThanItMust() {
        Split before = Split.of(NAMES, Map.of("a", 1.0, "b", 1.0, "c", 1.0));
        Split after = Split.of(NAMES, Map.of("a", 1.0, "b", 1.0, "c", 2.0));
        int moved = 0;
        for (int i = 0; i < KEYS; i++) {
            String from = before.of("key-" + i);
            String to = after.of("key-" + i);
            if (!from.equals(to)) {
                assertThat(to).as("only to the one that grew").isEqualTo("c");
                moved++;
            }
        }
        assertThat(moved / (double) KEYS).isCloseTo(1.0 / 2 - 1.0 / 3, within(0.015));
    }

    @Test
    void theRatioTestSeesWhatIsOff() {
        SampleRatio fair = SampleRatio.of(List.of(5040L, 4960L), List.of(0.5, 0.5));
        assertThat(fair.chiSquared()).isCloseTo(0.64, within(1e-9));
        assertThat(fair.pValue()).isCloseTo(0.4237, within(1e-4));
        assertThat(fair.mismatch()).isFalse();
        SampleRatio off = SampleRatio.of(List.of(5300L, 4700L), List.of(0.5, 0.5));
        assertThat(off.mismatch()).isTrue();
        assertThat(SampleRatio.of(List.of(10L, 0L), List.of(1.0, 0.0)).pValue()).isEqualTo(1);
        assertThat(SampleRatio.of(List.of(0L, 0L), List.of(0.5, 0.5)).mismatch()).isFalse();
    }
}
