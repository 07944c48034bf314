package dev.lithe.model;

import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// New tokens of some sequences on their way through the blocks of a decoder. A long prompt keeps
/// the machine for many decode steps; run some blocks at a time it can stand aside for others in
/// between, and its products stay as large as if it did not (layered prefill, arXiv:2510.08055).
///
/// The caches reach their new positions with the last block. A pass that is closed before leaves
/// them where they were.
public final class ForwardPass implements AutoCloseable {
    private final Decoder decoder;
    private final Pieces pieces;
    private final TensorScope kept = TensorScope.open();
    private final Angles angles;
    private TensorScope scope = TensorScope.open();
    private Value x;
    private int block;

    ForwardPass(Decoder decoder, Pieces pieces) {
        this.decoder = decoder;
        this.pieces = pieces;
        this.x = decoder.embed(pieces, scope); // (1, T, d)
        this.angles = decoder.angles(pieces, kept);
    }

    /// Runs the next blocks, at most as many as are left.
    public void advance(int blocks) {
        int end = Math.min(decoder.spec().layers(), block + blocks);
        TensorScope next = TensorScope.open();
        try {
            x = decoder.runBlocks(x, block, end, pieces, angles, next);
        } catch (RuntimeException e) {
            next.close();
            throw e;
        }
        scope.close();
        scope = next;
        block = end;
        if (over()) {
            pieces.done();
        }
    }

    /// Whether all blocks have run.
    public boolean over() {
        return block == decoder.spec().layers();
    }

    /// Logits of each sequence's last token, (B, V) float32 row-major whatever its outer
    /// dimensions, once all blocks have run.
    public Value logits(TensorScope into) {
        if (!over()) {
            throw LitheException.of(
                    Fault.INTERNAL, "logits were asked for after block %d only", block);
        }
        return decoder.head(x, pieces, angles, into);
    }

    @Override
    public void close() {
        scope.close();
        kept.close();
    }
}
