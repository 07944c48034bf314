package dev.lithe.compress;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/// The multiple-choice knapsack problem: one choice for each item, least cost in all, within a
/// budget of bytes. Solved by dynamic programming over bytes in units of their greatest common
/// divisor (Dudzinski and Walukiewicz, 1987), so exactly, as long as no more than [#MAX_UNITS] of
/// them fit the budget; beyond, sizes are rounded up to larger units.
final class Knapsack {
    static final int MAX_UNITS = 1 << 18;

    private Knapsack() {}

    /// The place of the choice to take in each item's list.
    ///
    /// @param budget at least the smallest choices' bytes
    static int[] solve(List<List<Choice>> items, long budget) {
        long least = items.stream().mapToLong(Knapsack::least).sum();
        if (least > budget) {
            throw LitheException.of(
                    Fault.INTERNAL, "%d bytes for choices that take %d at least", budget, least);
        }
        long unit = unit(items, budget - least);
        int units = Math.toIntExact((budget - least) / unit);
        double[] best = new double[units + 1];
        List<short[]> taken = new ArrayList<>();
        for (List<Choice> item : items) {
            double[] next = new double[units + 1];
            Arrays.fill(next, Double.POSITIVE_INFINITY);
            short[] takes = new short[units + 1];
            for (int place = 0; place < item.size(); place++) {
                int size = units(item, place, unit);
                for (int used = size; used <= units; used++) {
                    double cost = best[used - size] + item.get(place).cost();
                    if (cost < next[used]) {
                        next[used] = cost;
                        takes[used] = (short) place;
                    }
                }
            }
            best = next;
            taken.add(takes);
        }
        int[] solution = new int[items.size()];
        int left = units;
        for (int i = items.size() - 1; i >= 0; i--) {
            solution[i] = taken.get(i)[left];
            left -= units(items.get(i), solution[i], unit);
        }
        return solution;
    }

    /// Bytes of the smallest choice.
    static long least(List<Choice> item) {
        return item.stream().map(Choice::bytes).min(Comparator.naturalOrder()).orElseThrow();
    }

    /// What a choice takes more than the smallest one, in units, rounded up.
    private static int units(List<Choice> item, int place, long unit) {
        return Math.toIntExact(
                Math.min(
                        Integer.MAX_VALUE,
                        Math.ceilDiv(item.get(place).bytes() - least(item), unit)));
    }

    private static long unit(List<List<Choice>> items, long room) {
        long divisor = 0;
        for (List<Choice> item : items) {
            for (Choice choice : item) {
                divisor = gcd(divisor, choice.bytes() - least(item));
            }
        }
        return Math.max(Math.max(1, divisor), Math.ceilDiv(room, MAX_UNITS));
    }

    private static long gcd(long a, long b) {
        return b == 0 ? a : gcd(b, a % b);
    }
}
