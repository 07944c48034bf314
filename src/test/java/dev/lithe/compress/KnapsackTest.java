package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The solver against trying everything.
class KnapsackTest {
    private static final int TRIALS = 200;

    private static List<List<Choice>> items(Random random, long unit) {
        List<List<Choice>> items = new ArrayList<>();
        for (int item = 0; item < 5; item++) {
            List<Choice> choices = new ArrayList<>();
            for (int i = 0; i < 2 + random.nextInt(3); i++) {
                long bytes = 17 + unit * (1 + random.nextInt(40));
                choices.add(new Choice(i, 0, bytes, random.nextDouble()));
            }
            items.add(choices);
        }
        return items;
    }

    private static double cheapest(List<List<Choice>> items, int at, long budget) {
        if (budget < 0) {
            return Double.POSITIVE_INFINITY;
        }
        if (at == items.size()) {
            return 0;
        }
        double best = Double.POSITIVE_INFINITY;
        for (Choice choice : items.get(at)) {
            best = Math.min(best, choice.cost() + cheapest(items, at + 1, budget - choice.bytes()));
        }
        return best;
    }

    @Test
    void findsTheLeastCostWithinTheBudget() {
        for (int seed = 0; seed < TRIALS; seed++) {
            var random = new Random(seed);
            List<List<Choice>> items = items(random, seed % 2 == 0 ? 1 : 4096);
            long least = items.stream().mapToLong(Knapsack::least).sum();
            long budget = least + random.nextInt((int) least);
            int[] solution = Knapsack.solve(items, budget);
            assertThat(solution).as("seed %d", seed).isNotNull();
            double cost = 0;
            long bytes = 0;
            for (int i = 0; i < items.size(); i++) {
                cost += items.get(i).get(solution[i]).cost();
                bytes += items.get(i).get(solution[i]).bytes();
            }
            assertThat(bytes).as("seed %d", seed).isLessThanOrEqualTo(budget);
            assertThat(cost)
                    .as("seed %d", seed)
                    .isCloseTo(cheapest(items, 0, budget), within(1e-12));
        }
    }

    @Test
    void staysWithinTheBudgetWhereSizesAreRounded() {
        List<List<Choice>> items = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            items.add(
                    List.of(
                            new Choice(2, 0, 1_000_000_007L + i, 1),
                            new Choice(4, 0, 2_000_000_011L + i, 0)));
        }
        long budget = 5_100_000_000L;
        int[] solution = Knapsack.solve(items, budget);
        assertThat(solution).isNotNull();
        long bytes = 0;
        for (int i = 0; i < items.size(); i++) {
            bytes += items.get(i).get(solution[i]).bytes();
        }
        assertThat(bytes).isBetween(5_000_000_000L, budget);
    }

    @Test
    void hasNoAnswerBelowTheSmallestChoices() {
        List<List<Choice>> items = items(new Random(1), 8);
        long least = items.stream().mapToLong(Knapsack::least).sum();
        assertThatThrownBy(() -> Knapsack.solve(items, least - 1)).hasMessageContaining("at least");
        assertThat(Knapsack.solve(items, least)).isNotNull();
    }
}
