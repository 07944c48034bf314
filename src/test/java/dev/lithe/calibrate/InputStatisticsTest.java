package dev.lithe.calibrate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/// What is derived from statistics is made once for each key, and lives as long as they do.
class InputStatisticsTest {
    private record Scaled(int factor) {}

    @Test
    void derivesOnceForEqualKeys() {
        var calls = new AtomicInteger();
        try (var scope = TensorScope.open()) {
            var seen = new InputStatistics(scope.call("zeros", 2, 2), 1, scope);
            List<Value> first = derive(seen, new Scaled(1), calls);
            assertThat(derive(seen, new Scaled(1), calls)).isSameAs(first);
            assertThat(derive(seen, new Scaled(2), calls)).isNotSameAs(first);
            assertThat(calls).hasValue(2);
            assertThat(first.getFirst().shape()).containsExactly(1, 1);
        }
    }

    private static List<Value> derive(InputStatistics seen, Scaled key, AtomicInteger calls) {
        return seen.derived(
                key,
                scope -> {
                    calls.incrementAndGet();
                    return List.of(scope.call("zeros", key.factor(), key.factor()));
                });
    }
}
