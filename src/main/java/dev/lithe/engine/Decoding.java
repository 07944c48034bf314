package dev.lithe.engine;

import dev.lithe.model.Decoder;
import dev.lithe.model.KvBatch;
import dev.lithe.tensor.TensorScope;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Decode steps: one token for each of some sequences of a model, all together. The batch of their
/// caches is kept as long as its members are the same.
final class Decoding implements AutoCloseable {
    private final Decoder decoder;
    private final Lane lane;
    private List<Sequence> members = List.of();
    private @Nullable KvBatch batch;

    Decoding(Decoder decoder, Lane lane) {
        this.decoder = decoder;
        this.lane = lane;
    }

    /// One token for each of `sequences`, which have read their prompts.
    void step(List<Sequence> sequences) {
        if (sequences.isEmpty()) {
            return;
        }
        try (var step = TensorScope.open()) {
            lane.deliver(sequences, decoder.decode(last(sequences), regroup(sequences), step));
        } catch (RuntimeException | OutOfMemoryError e) {
            if (sequences.size() == 1) {
                lane.fail(sequences.getFirst(), e);
            } else {
                // One of them may be at fault; it must not take the others down.
                sequences.forEach(each -> step(List.of(each)));
            }
        }
    }

    private static int[] last(List<Sequence> sequences) {
        return sequences.stream().mapToInt(Sequence::last).toArray();
    }

    private KvBatch regroup(List<Sequence> sequences) {
        KvBatch current = batch;
        if (current == null || !members.equals(sequences)) {
            close();
            current = new KvBatch(sequences.stream().map(Sequence::cache).toList());
            batch = current;
            members = List.copyOf(sequences);
        }
        return current;
    }

    /// Lets go of the caches of sequences that have ended.
    void keepOnly(List<Sequence> running) {
        if (!running.containsAll(members)) {
            close();
        }
    }

    @Override
    public void close() {
        if (batch != null) {
            batch.close();
            batch = null;
            members = List.of();
        }
    }
}
