package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// Decode steps: one token for each of some sequences of a model, all together, or where somebody
/// guesses what follows as many as the guesses are right.
final class Decoding implements AutoCloseable {
    private final Decoder decoder;
    private final Lane lane;
    private final CacheBatch batch = new CacheBatch();
    private final @Nullable DraftLength length;
    private final @Nullable Drafter drafter;

    /// Without guesses.
    Decoding(Decoder decoder, Lane lane) {
        this.decoder = decoder;
        this.lane = lane;
        this.length = null;
        this.drafter = null;
    }

    /// With guesses.
    Decoding(Decoder decoder, Lane lane, DraftLength length, Drafter drafter) {
        this.decoder = decoder;
        this.lane = lane;
        this.length = length;
        this.drafter = drafter;
    }

    /// A step of `sequences`, which have read their prompts.
    void step(List<Sequence> sequences) {
        if (sequences.isEmpty()) {
            return;
        }
        if (length == null || drafter == null) {
            read(sequences, new int[sequences.size()][0]);
        } else {
            guess(sequences, length, drafter);
        }
    }

    private void guess(List<Sequence> sequences, DraftLength chosen, Drafter guesser) {
        int count = sequences.size();
        int most = chosen.choose(count);
        long start = System.nanoTime();
        int[][] drafts = drafts(sequences, most, chosen, guesser);
        long drafted = System.nanoTime();
        int[] given = read(sequences, drafts);
        guesser.settle();
        long end = System.nanoTime();
        for (int i = 0; i < count; i++) {
            if (drafts[i].length > 0) {
                chosen.guessed(
                        count, drafts[i].length, right(sequences.get(i), drafts[i], given[i]));
            }
        }
        int longest = Arrays.stream(drafts).mapToInt(draft -> draft.length).max().orElse(0);
        if (most == 0) {
            chosen.plain(count, end - start);
        } else {
            int tokens = IntStream.of(given).sum();
            chosen.speculative(count, longest, drafted - start, end - start, tokens);
        }
    }

    /// How many guesses were right: all before the last token, and that one where it is the end.
    private static int right(Sequence sequence, int[] draft, int given) {
        boolean lastToo = given > 0 && given <= draft.length && draft[given - 1] == sequence.last();
        return Math.max(0, lastToo ? given : given - 1);
    }

    /// Guesses; none where the draft fails, which is no reason for the answer to.
    private static int[][] drafts(
            List<Sequence> sequences, int most, DraftLength chosen, Drafter guesser) {
        if (chosen.off(sequences.size())) {
            guesser.close();
        }
        try {
            return guesser.propose(sequences, most);
        } catch (RuntimeException | OutOfMemoryError e) {
            chosen.failed(sequences.size(), e);
            guesser.close();
            return new int[sequences.size()][0];
        }
    }

    /// Reads each sequence's last token and the guesses after it, and hands out what follows.
    ///
    /// @return how many tokens each sequence got
    private int[] read(List<Sequence> sequences, int[][] drafts) {
        try (var step = TensorScope.open()) {
            int[][] pieces = new int[drafts.length][];
            boolean guessed = false;
            for (int i = 0; i < drafts.length; i++) {
                pieces[i] = new int[1 + drafts[i].length];
                pieces[i][0] = sequences.get(i).last();
                System.arraycopy(drafts[i], 0, pieces[i], 1, drafts[i].length);
                guessed |= drafts[i].length > 0;
            }
            var caches = batch.of(sequences.stream().map(Sequence::cache).toList());
            Value logits = decoder.extend(pieces, caches, guessed, step);
            return lane.deliver(sequences, drafts, logits);
        } catch (RuntimeException | OutOfMemoryError e) {
            if (sequences.size() == 1) {
                lane.fail(sequences.getFirst(), e);
            } else {
                // One of them may be at fault; it must not take the others down.
                sequences.forEach(each -> read(List.of(each), new int[1][0]));
            }
            return new int[drafts.length];
        }
    }

    /// Lets go of the caches of sequences that have ended.
    void keepOnly(List<Sequence> running) {
        batch.keepOnly(running.stream().map(Sequence::cache).toList());
        if (drafter != null) {
            drafter.settle();
        }
    }

    @Override
    public void close() {
        batch.close();
        if (drafter != null) {
            drafter.close();
        }
    }
}
