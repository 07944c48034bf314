package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import java.util.Arrays;

/// Tokens of a forward pass as `lithe.h` describes them.
final class Rows {
    private static final int LONGS = 10;

    private final ModelSpec spec;
    private final Angles angles;

    /// Tokens that have angles.
    private final int places;

    private final long[] longs;
    private int count;
    private int wanted;

    private Rows(int tokens, int places, ModelSpec spec, Angles angles) {
        this.spec = spec;
        this.angles = angles;
        this.places = places;
        this.longs = new long[tokens * LONGS];
    }

    /// Tokens of the sequences of one cache, one sequence after the other, all from `position` on.
    ///
    /// @param all whether logits of all are wanted, or of each sequence's last
    static Rows of(
            long[] ids,
            int batch,
            int position,
            KvCache cache,
            boolean all,
            ModelSpec spec,
            Angles angles) {
        int each = ids.length / batch;
        var rows = new Rows(ids.length, each, spec, angles);
        for (int i = 0; i < ids.length; i++) {
            int place = i % each;
            boolean wanted = all || place == each - 1;
            rows.add(ids[i], position + place, place, cache, i / each, batch, wanted);
        }
        return rows;
    }

    /// Tokens of several caches.
    static Rows of(Pieces pieces, boolean all, ModelSpec spec, Angles angles) {
        int total = (int) Arrays.stream(pieces.counts()).sum();
        var rows = new Rows(total, total, spec, angles);
        for (int i = 0; i < pieces.tokens().length; i++) {
            int[] tokens = pieces.tokens()[i];
            KvCache cache = pieces.batch().caches().get(i);
            for (int j = 0; j < tokens.length; j++) {
                boolean wanted = all || j == tokens.length - 1;
                int position = (int) pieces.positions()[i] + j;
                rows.add(tokens[j], position, rows.count, cache, 0, 1, wanted);
            }
        }
        return rows;
    }

    /// A token of sequence `member` of the `batch` in `cache`. What lies outside the embedding is
    /// refused here, for the kernels read where they are told to.
    ///
    /// @param place among the tokens that have angles
    private void add(
            long token,
            int position,
            int place,
            KvCache cache,
            int member,
            int batch,
            boolean isWanted) {
        if (token < 0 || token >= spec.vocabSize()) {
            throw LitheException.of(
                    Fault.INTERNAL,
                    "token %d of %d at position %d",
                    token,
                    spec.vocabSize(),
                    position);
        }
        long floats = (long) spec.kvHeads() * cache.capacity() * spec.headDim();
        long offset = member * floats * Float.BYTES;
        int at = count++ * LONGS;
        longs[at] = token;
        longs[at + 1] = position;
        longs[at + 2] = cache.keysAddress() + offset;
        longs[at + 3] = cache.valuesAddress() + offset;
        longs[at + 4] = batch * floats;
        longs[at + 5] = cache.capacity();
        longs[at + 6] = isWanted ? 1 : 0;
        longs[at + 7] = angles.ofTokens() ? place : position;
        longs[at + 8] = angles.ofTokens() ? places + place : position;
        if (spec.pageAttention().limited()) {
            long bounds = spec.pageAttention().boundFloats(cache.capacity(), spec.headDim());
            longs[at + 9] = cache.boundsAddress() + member * spec.kvHeads() * bounds * Float.BYTES;
        }
        wanted += isWanted ? 1 : 0;
    }

    long[] longs() {
        return longs;
    }

    int count() {
        return count;
    }

    /// Those whose logits are.
    int wanted() {
        return wanted;
    }
}
