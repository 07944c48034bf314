package dev.lithe.technique.reshape;

import dev.lithe.calibrate.BlockStack;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/// Which blocks to keep, by simple rules.
final class BlockChoices {
    private final BlockStack stack;
    private final int remove;

    BlockChoices(BlockStack stack, int remove) {
        this.stack = stack;
        this.remove = remove;
    }

    private BitSet everything() {
        BitSet kept = new BitSet();
        kept.set(0, stack.blocks());
        return kept;
    }

    /// Without the blocks that turn the stream least.
    BitSet leastInfluence() {
        List<Double> cosines = stack.cosines(1);
        BitSet kept = everything();
        IntStream.range(0, cosines.size())
                .boxed()
                .sorted(Comparator.comparingDouble(block -> 1 - cosines.get(block)))
                .limit(remove)
                .forEach(kept::clear);
        return kept;
    }

    /// Without the blocks side by side that together turn the stream least.
    BitSet straightest() {
        List<Double> cosines = stack.cosines(remove);
        int first =
                IntStream.range(0, cosines.size())
                        .boxed()
                        .max(Comparator.comparingDouble(cosines::get))
                        .orElseThrow();
        BitSet kept = everything();
        kept.clear(first, first + remove);
        return kept;
    }

    /// One after the other, the block without which the text is likeliest.
    BitSet oneByOne() {
        BitSet kept = everything();
        for (int i = 0; i < remove; i++) {
            BitSet now = kept;
            int next =
                    now.stream()
                            .boxed()
                            .min(
                                    Comparator.comparingDouble(
                                            block -> stack.without(but(now, block)).loss()))
                            .orElseThrow();
            kept = but(kept, next);
        }
        return kept;
    }

    private static BitSet but(BitSet kept, int block) {
        BitSet fewer = (BitSet) kept.clone();
        fewer.clear(block);
        return fewer;
    }

    List<BitSet> all() {
        return List.of(leastInfluence(), straightest(), oneByOne());
    }
}
