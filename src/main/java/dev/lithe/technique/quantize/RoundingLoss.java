package dev.lithe.technique.quantize;

/// What learned codes have to make small: how far a part's output is from the original's.
interface RoundingLoss {
    /// The loss on all windows.
    double mean();

    /// Windows beyond which a step would take too much memory.
    default int mostWindows() {
        return Integer.MAX_VALUE;
    }

    /// Moves the codes against the gradient of the loss on some windows.
    ///
    /// @param rate how far codes go before rounding, in units of the codes
    /// @param scaleRate how far scales go, as a share of themselves
    /// @param windows their numbers
    void step(double rate, double scaleRate, long... windows);
}
