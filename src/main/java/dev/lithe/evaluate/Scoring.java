package dev.lithe.evaluate;

import dev.lithe.fault.LitheException;

/// Which predictions of a window of n tokens count. The prediction at position p is the one of
/// token p + 1.
public enum Scoring {
    /// Every token but the first of a window, as in the GPTQ papers: positions 0 to n - 2.
    ALL("all") {
        @Override
        int firstPosition(int context) {
            return 0;
        }
    },
    /// The protocol of llama.cpp's perplexity tool, to compare with it: a start token goes before
    /// the text, the first token of each window gives way to one too, and positions n / 2 to n - 2
    /// count.
    SECOND_HALF("second-half") {
        @Override
        int firstPosition(int context) {
            return context / 2;
        }
    };

    private final String label;

    Scoring(String label) {
        this.label = label;
    }

    abstract int firstPosition(int context);

    /// Predictions of one window that count.
    ///
    /// @throws LitheException where the window is too short to score anything
    int scored(int context) {
        int scored = context - 1 - firstPosition(context);
        if (scored < 1) {
            throw LitheException.badInput(
                    "context %d leaves nothing to score by '%s'; set it to %d or more",
                    context, label, context + 1);
        }
        return scored;
    }

    /// Its name on the command line and in reports.
    public String label() {
        return label;
    }

    @Override
    public String toString() {
        return label;
    }
}
