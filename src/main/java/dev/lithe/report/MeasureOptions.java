package dev.lithe.report;

import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.Scoring;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.Device;
import dev.lithe.tokenize.TextFile;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// How to measure.
///
/// @param text what to score
/// @param context tokens of a window, or null for 2048 or what the models hold, if that is less
/// @param tokens most tokens of the text to use
/// @param seed of the bootstrap
/// @param calibrationText what the compressed models were calibrated with, to name it and to refuse
///   it as `text`; null where unknown
/// @param device where the models are computed
public record MeasureOptions(
        Path text,
        @Nullable Integer context,
        long tokens,
        Scoring scoring,
        long seed,
        LatencyOptions latency,
        @Nullable Path calibrationText,
        Device device) {
    private static final int DEFAULT_CONTEXT = 2048;

    public MeasureOptions {
        if (tokens < 2) {
            throw LitheException.badInput("%d tokens; a prediction needs 2 or more", tokens);
        }
        if (context != null && context < 2) {
            throw LitheException.badInput(
                    "context %d; a prediction needs 2 or more tokens", context);
        }
    }

    /// On the processor.
    public MeasureOptions(
            Path text,
            @Nullable Integer context,
            long tokens,
            Scoring scoring,
            long seed,
            LatencyOptions latency,
            @Nullable Path calibrationText) {
        this(text, context, tokens, scoring, seed, latency, calibrationText, Device.CPU);
    }

    /// Refuses to measure with the text that was calibrated with.
    ///
    /// @throws LitheException where they are the same, or one cannot be read
    void requireDistinctTexts() {
        if (calibrationText != null
                && TextFile.read(calibrationText).sha256().equals(TextFile.read(text).sha256())) {
            throw LitheException.badInput(
                    "%s was calibrated with, so it cannot measure; give another --text", text);
        }
    }

    /// The context to use with models of `positions` positions.
    int contextFor(int positions) {
        if (context == null) {
            return Math.min(DEFAULT_CONTEXT, positions);
        }
        if (context > positions) {
            throw LitheException.badInput(
                    "context %d; these models take 2 to %d tokens", context, positions);
        }
        return context;
    }
}
