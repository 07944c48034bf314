package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.model.ForwardPass;
import dev.lithe.model.KvBatch;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// A chunk of the prompts of some sequences on its way through the blocks.
final class PrefillPass implements AutoCloseable {
    private final List<Sequence> members;
    private final int tokens;

    /// Of each token with each before the pass that it sees.
    private final long pairs;

    private final KvBatch batch;
    private final ForwardPass forward;

    /// @param chunk most tokens of each member
    PrefillPass(Decoder decoder, List<Sequence> members, int chunk) {
        this.members = List.copyOf(members);
        int[][] pieces = members.stream().map(each -> each.piece(chunk)).toArray(int[][]::new);
        this.tokens = Stream.of(pieces).mapToInt(piece -> piece.length).sum();
        this.pairs =
                IntStream.range(0, pieces.length)
                        .mapToLong(i -> pairs(decoder, pieces[i].length, members.get(i)))
                        .sum();
        this.batch = new KvBatch(members.stream().map(Sequence::cache).toList());
        try {
            this.forward = decoder.begin(pieces, batch);
        } catch (RuntimeException e) {
            batch.close();
            throw e;
        }
    }

    private static long pairs(Decoder decoder, int tokens, Sequence sequence) {
        return (long) tokens * decoder.spec().seen(sequence.read());
    }

    List<Sequence> members() {
        return members;
    }

    boolean reads(Sequence sequence) {
        return members.contains(sequence);
    }

    /// Whether nobody waits for it any more.
    boolean abandoned() {
        return members.stream().allMatch(Sequence::over);
    }

    /// That of its most urgent member, as [Prefill] orders them.
    int priority() {
        return members.stream()
                .filter(each -> !each.over())
                .mapToInt(Prefill::priority)
                .min()
                .orElse(0);
    }

    /// Runs the next slice.
    ///
    /// @param steps that it may take
    /// @return whether it was the last
    boolean advance(Pace pace, double steps) {
        forward.advance(pace.blocks(tokens, pairs, steps));
        return forward.over();
    }

    /// Hands their first token to those whose prompts are read.
    void deliver(Lane lane) {
        try (var step = TensorScope.open()) {
            // A pass has several members only where each is read whole.
            boolean read = members.size() > 1 || unread(members.getFirst()) == 0;
            if (read) {
                Value logits = forward.logits(step);
                lane.deliver(members, logits);
            }
        }
    }

    private static int unread(Sequence sequence) {
        return sequence.over() ? 0 : sequence.unread();
    }

    @Override
    public void close() {
        forward.close();
        batch.close();
    }
}
