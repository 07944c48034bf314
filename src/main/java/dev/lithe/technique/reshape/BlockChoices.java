package dev.lithe.technique.reshape;

import dev.lithe.calibrate.BlockStack;
import dev.lithe.fault.LitheException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/// Which blocks, or parts of blocks, to keep, by simple rules.
final class BlockChoices {
    private final BlockStack stack;
    private final int remove;

    BlockChoices(BlockStack stack, int remove) {
        this.stack = stack;
        this.remove = remove;
    }

    /// Without the units that turn the stream least.
    BitSet leastInfluence() {
        List<Double> cosines = stack.cosines(1);
        List<Integer> order =
                IntStream.range(0, cosines.size())
                        .boxed()
                        .sorted(Comparator.comparingDouble(unit -> 1 - cosines.get(unit)))
                        .toList();
        BitSet kept = stack.everything();
        int left = remove;
        for (int unit : order) {
            BitSet fewer = but(kept, unit, unit + 1);
            if (left > 0 && stack.allows(fewer)) {
                kept = fewer;
                left--;
            }
        }
        return kept;
    }

    /// Without the blocks side by side that together turn the stream least.
    BitSet straightest() {
        return sideBySide()
                .orElseThrow(() ->
                        LitheException.badInput(
                                "any %d blocks side by side have all of the attention that the model has left;"
                                        + " choose criterion perplexity, or remove fewer",
                                remove));
    }

    private Optional<BitSet> sideBySide() {
        List<Double> cosines = stack.cosines(remove);
        return IntStream.range(0, cosines.size())
                .boxed()
                .filter(first -> stack.allows(but(stack.everything(), first, first + remove)))
                .max(Comparator.comparingDouble(cosines::get))
                .map(first -> but(stack.everything(), first, first + remove));
    }

    /// One after the other, the unit without which the text is likeliest.
    BitSet oneByOne() {
        BitSet kept = stack.everything();
        for (int i = 0; i < remove; i++) {
            BitSet now = kept;
            kept =
                    now.stream()
                            .mapToObj(unit -> but(now, unit, unit + 1))
                            .filter(stack::allows)
                            .min(Comparator.comparingDouble(fewer -> stack.without(fewer).loss()))
                            .orElseThrow();
        }
        return kept;
    }

    private static BitSet but(BitSet kept, int first, int end) {
        BitSet fewer = (BitSet) kept.clone();
        fewer.clear(first, end);
        return fewer;
    }

    /// Each rule's, of which a search can start.
    ///
    /// @param blocks whether whole blocks go, which can lie side by side
    List<BitSet> all(boolean blocks) {
        List<BitSet> all = new ArrayList<>(List.of(leastInfluence()));
        if (blocks) {
            sideBySide().ifPresent(all::add);
        }
        all.add(oneByOne());
        return all;
    }
}
