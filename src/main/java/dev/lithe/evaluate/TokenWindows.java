package dev.lithe.evaluate;

import dev.lithe.fault.LitheException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Consecutive windows of `context` token ids that do not overlap; what is left at the end is
/// dropped.
public final class TokenWindows {
    private final int[] ids;
    private final int context;
    private final Scoring scoring;
    private final int startToken;

    private TokenWindows(int[] ids, int context, Scoring scoring, int startToken) {
        this.ids = ids;
        this.context = context;
        this.scoring = scoring;
        this.startToken = startToken;
    }

    /// The windows of the first `limit` ids.
    ///
    /// @param context tokens of a window, at least 2
    /// @param limit most ids to use, a start token before them included
    /// @param startToken the model's start token, or null; [Scoring#SECOND_HALF] needs one
    /// @throws LitheException where not one window can be filled
    public static TokenWindows of(
            int[] ids, int context, long limit, Scoring scoring, @Nullable Integer startToken) {
        if (context < 2) {
            throw LitheException.badInput(
                    "context %d is too short; a prediction needs 2 tokens or more", context);
        }
        scoring.scored(context);
        if (scoring == Scoring.SECOND_HALF && startToken == null) {
            throw LitheException.badInput(
                    "scoring '%s' puts a start token before each window, and config.json names no"
                            + " bos_token_id; score 'all'",
                    scoring);
        }
        int[] stream =
                scoring == Scoring.SECOND_HALF && startToken != null
                        ? withStart(ids, startToken)
                        : ids;
        int used = (int) Math.min(limit, stream.length);
        int count = used / context;
        if (count == 0) {
            throw LitheException.badInput(
                    "%s, and a window takes %d; give a longer text or a smaller context",
                    used < stream.length
                            ? "the limit is %d tokens".formatted(limit)
                            : "the text has %d tokens".formatted(ids.length),
                    context);
        }
        return new TokenWindows(
                Arrays.copyOf(stream, count * context),
                context,
                scoring,
                startToken == null ? 0 : startToken);
    }

    /// llama.cpp puts a start token before the text too, which moves every window by one id.
    private static int[] withStart(int[] ids, int startToken) {
        int[] stream = new int[ids.length + 1];
        stream[0] = startToken;
        System.arraycopy(ids, 0, stream, 1, ids.length);
        return stream;
    }

    /// How many there are.
    public int count() {
        return ids.length / context;
    }

    /// Tokens of each.
    public int context() {
        return context;
    }

    /// Which predictions count.
    public Scoring scoring() {
        return scoring;
    }

    /// Tokens of all windows.
    public int tokens() {
        return ids.length;
    }

    /// Predictions of each window that count.
    public int scoredPerWindow() {
        return scoring.scored(context);
    }

    /// Predictions that count, in all windows.
    public int scored() {
        return count() * scoredPerWindow();
    }

    /// How many characters of the text the predictions of each window that count are.
    ///
    /// @param ends how many characters lie before the end of each token of the text
    public long[] characters(int[] ends) {
        int before = scoring == Scoring.SECOND_HALF ? 1 : 0; // the start token before the text
        int first = scoring.firstPosition(context);
        long[] characters = new long[count()];
        for (int window = 0; window < characters.length; window++) {
            int start = window * context - before;
            characters[window] = (long) ends[start + context - 1] - ends[start + first];
        }
        return characters;
    }

    /// What a model reads at positions `from` to `to - 1` of `windows` windows, row by row.
    long[] inputs(int firstWindow, int windows, int from, int to) {
        long[] inputs = slice(firstWindow, windows, from, to);
        if (scoring == Scoring.SECOND_HALF && from == 0) {
            for (int row = 0; row < windows; row++) {
                inputs[row * to] = startToken;
            }
        }
        return inputs;
    }

    /// What a model should predict at these positions: the token after each.
    long[] targets(int firstWindow, int windows, int from, int to) {
        return slice(firstWindow, windows, from + 1, to + 1);
    }

    private long[] slice(int firstWindow, int windows, int from, int to) {
        int width = to - from;
        long[] slice = new long[windows * width];
        for (int row = 0; row < windows; row++) {
            for (int i = 0; i < width; i++) {
                slice[row * width + i] = ids[(firstWindow + row) * context + from + i];
            }
        }
        return slice;
    }
}
