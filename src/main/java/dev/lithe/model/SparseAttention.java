package dev.lithe.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;

/// How much of a text each token sees: the first `sinks` positions and the last `window`, its own
/// included. Positions count within what is seen, so that no distance is longer than `sinks +
/// window - 1`, and a text may be longer than the context that the model was trained on: its keys
/// and values take [#rows] rows, however long it gets.
///
/// A model that sees so says so in `config.json`, as `"lithe_sparse_attention": {"format":
/// "lithe.sparse_attention/v1", "sinks": 4, "window": 508}`; 0 sinks are a plain window. A block
/// that has a window of its own, no longer than this one, keeps to that. Other programs ignore it
/// and see whole texts.
///
/// Rows: the sinks' come first and stay. Position j from `sinks` on lies in row j as long as there
/// is one, then in row `sinks + (j - sinks) mod (rows - sinks)`. There are more than the window
/// needs, so that up to [#PIECE] tokens can be written before the first of them looks back, and
/// some can be taken back.
///
/// With `"heavy": 20, "context": 256` each key-value head keeps so many more positions between
/// them, those that have got the most attention ([KvCache] cannot go back then). Rows are as many
/// as are seen: sinks, heavy hitters, window, in the order of their positions. When all are full
/// [#LEAVE] positions leave the window at once, and of them and those kept before the `heavy` stay
/// whose attention, summed over all queries of the head so far, is the greatest. So the window is
/// `window` at most and up to 7 less. Positions count in the text, though no distance is longer
/// than `context`: beyond it all but the sinks move towards them, as far as these ([#places]).
///
/// @param sinks positions at the start that all see
/// @param window positions that a token sees besides, its own included; 0 for all
/// @param heavy positions between them that each key-value head keeps
/// @param context positions that those are told apart by; 0 where none are kept
public record SparseAttention(int sinks, int window, int heavy, int context) {
    /// Of a model that says nothing: all see all.
    public static final SparseAttention NONE = new SparseAttention(0, 0, 0, 0);

    /// Most tokens of a text that are read at once where its rows are used again.
    public static final int PIECE = 256;

    /// Positions that leave the window at once where heavy hitters are kept, as in `heavy.py`.
    public static final int LEAVE = 8;

    /// Longest text, in tokens, where its length takes no memory: no array gets longer.
    private static final int LONGEST = 1 << 28;

    /// Positions that the native kernels see at once; they lie in rows side by side.
    private static final int SIDE_BY_SIDE = 128;

    private static final String KEY = "lithe_sparse_attention";
    private static final String FORMAT = "lithe.sparse_attention/v1";

    /// What `config`, which `where` names in errors, says of a model with a context of so many
    /// positions.
    static SparseAttention of(ConfigReader config, int positions, String where) {
        if (!config.has(KEY)) {
            return NONE;
        }
        ConfigReader section = config.section(KEY, FORMAT);
        int heavy = section.countFromZero("heavy", 0);
        var sparse =
                new SparseAttention(
                        section.countFromZero("sinks", 0),
                        section.count("window"),
                        heavy,
                        heavy > 0 ? section.count("context", positions) : 0);
        sparse.check(positions, where);
        return sparse;
    }

    private void check(int positions, String where) {
        if (context > positions) {
            throw LitheException.badInput(
                    "%s: %s tells heavy hitters apart by %d positions, more than the context of %d that"
                            + " the model was trained on; choose a context of up to %d",
                    where, KEY, context, positions, positions);
        }
        int shortest = heavy > 0 ? LEAVE : 1;
        int most = heavy > 0 ? context : positions;
        long left = (long) most - sinks - heavy;
        if (window > left) {
            throw LitheException.badInput(
                    "%s: %s has %d sinks%s and a window of %d, together more than the context of %d;"
                            + " choose %s",
                    where,
                    KEY,
                    sinks,
                    heavy > 0 ? ", %d heavy hitters".formatted(heavy) : "",
                    window,
                    most,
                    left >= shortest || heavy == 0
                            ? "a window of up to " + Math.max(1, left)
                            : "fewer heavy hitters");
        }
        if (window < shortest) {
            throw LitheException.badInput(
                    "%s: %s has %d heavy hitters and a window of %d, which %d positions leave at"
                            + " once; choose a window of at least %d",
                    where, KEY, heavy, window, LEAVE, LEAVE);
        }
    }

    /// Says it in `config`, in place of what that said.
    public void describe(ObjectNode config) {
        config.remove(KEY);
        if (limited()) {
            ObjectNode section = config.putObject(KEY).put("format", FORMAT);
            section.put("sinks", sinks).put("window", window);
            if (heavy > 0) {
                section.put("heavy", heavy).put("context", context);
            }
        }
    }

    /// For people.
    public String label() {
        return heavy > 0
                ? "the first %d positions, the %d of most attention and the last %d"
                        .formatted(sinks, heavy, window)
                : "the first %d positions and the last %d".formatted(sinks, window);
    }

    /// Whether a token sees less than the whole text.
    public boolean limited() {
        return window > 0;
    }

    /// Positions that a token sees, at most.
    public int reach() {
        return sinks + heavy + window;
    }

    /// Positions in use where heavy hitters are kept, 0 otherwise: as many of `context` as let
    /// tokens move down when rows are freed.
    int places() {
        return heavy > 0 ? reach() + (context - reach()) / LEAVE * LEAVE : 0;
    }

    /// Longest text of a model with a context of so many positions.
    int longest(int positions) {
        return limited() ? LONGEST : positions;
    }

    /// Rows that keys and values of a text of so many positions take.
    public int rows(int positions) {
        if (!limited()) {
            return positions;
        }
        return Math.min(positions, heavy > 0 ? reach() : Math.addExact(sinks, ring()));
    }

    /// Bytes of the attention that one key-value head of one block gave to its rows, and their
    /// places.
    long sumBytes(int rows) {
        return heavy > 0 ? 2L * rows * Double.BYTES : 0;
    }

    private int ring() {
        return Math.ceilDiv(window + PIECE, SIDE_BY_SIDE) * SIDE_BY_SIDE;
    }

    /// Whether `rows` of them can be used again once `tokens` are read at a time.
    boolean recycles(int rows, int tokens) {
        if (heavy > 0) {
            return rows >= reach();
        }
        int ring = rows - sinks;
        return limited() && ring % SIDE_BY_SIDE == 0 && tokens <= ring - window + 1;
    }
}
