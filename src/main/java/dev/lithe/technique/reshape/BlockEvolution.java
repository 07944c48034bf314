package dev.lithe.technique.reshape;

import dev.lithe.calibrate.BlockStack;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Random;

/// EvoPress' search for the blocks, or parts of blocks, to keep (Sieberling et al., arXiv
/// 2410.14649): one parent, offspring in which one to three kept ones change places with left-out
/// ones, and the best by divergence becomes the parent.
final class BlockEvolution {
    private static final int OFFSPRING = 32;
    private static final double GENERATIONS_SHARE = 1.5;
    private static final int MOST_SWAPS = 3;
    private static final int FINALISTS = 3;

    private final BlockStack stack;
    private final Random random;

    BlockEvolution(BlockStack stack, long seed) {
        this.stack = stack;
        this.random = new Random(seed);
    }

    /// The [#FINALISTS] best choices found from `starts`, which all keep as many.
    List<BitSet> best(List<BitSet> starts) {
        BitSet parent = cheapest(starts);
        int keep = parent.cardinality();
        int out = stack.units().size() - keep;
        int generations = (int) Math.ceil(keep * out / GENERATIONS_SHARE);
        if (combinations(stack.units().size(), out) <= (double) generations * OFFSPRING) {
            List<BitSet> all = new ArrayList<>();
            enumerate(new BitSet(), 0, keep, all);
            return finalists(all);
        }
        List<BitSet> parents = new ArrayList<>(List.of(parent));
        for (int i = 0; i < generations; i++) {
            List<BitSet> generation = new ArrayList<>(List.of(parent));
            for (int j = 0; j < OFFSPRING; j++) {
                generation.add(mutated(parent));
            }
            parent = cheapest(generation);
            parents.add(parent);
        }
        return finalists(parents);
    }

    private List<BitSet> finalists(List<BitSet> choices) {
        return choices.stream()
                .distinct()
                .sorted(Comparator.comparingDouble(kept -> stack.without(kept).divergence()))
                .limit(FINALISTS)
                .toList();
    }

    private BitSet cheapest(List<BitSet> choices) {
        return choices.stream()
                .min(Comparator.comparingDouble(kept -> stack.without(kept).divergence()))
                .orElseThrow();
    }

    /// The smaller of two draws of 1 to 3 swaps, so few are likelier.
    private BitSet mutated(BitSet parent) {
        BitSet child = (BitSet) parent.clone();
        int swaps = 1 + Math.min(random.nextInt(MOST_SWAPS), random.nextInt(MOST_SWAPS));
        for (int i = 0; i < swaps; i++) {
            int in = draw(child);
            BitSet others = new BitSet();
            others.or(stack.everything());
            others.andNot(child);
            child.set(draw(others));
            child.clear(in);
        }
        return stack.allows(child) ? child : parent;
    }

    private int draw(BitSet units) {
        return units.stream().skip(random.nextInt(units.cardinality())).findFirst().orElseThrow();
    }

    private static double combinations(int n, int k) {
        double count = 1;
        for (int i = 1; i <= k; i++) {
            count *= (double) (n - k + i) / i;
        }
        return count;
    }

    private void enumerate(BitSet kept, int next, int more, List<BitSet> all) {
        if (more == 0) {
            if (stack.allows(kept)) {
                all.add((BitSet) kept.clone());
            }
            return;
        }
        for (int unit = next; unit <= stack.units().size() - more; unit++) {
            kept.set(unit);
            enumerate(kept, unit + 1, more - 1, all);
            kept.clear(unit);
        }
    }
}
