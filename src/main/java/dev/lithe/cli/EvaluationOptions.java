package dev.lithe.cli;

import dev.lithe.checkpoint.ModelSource;
import dev.lithe.evaluate.LatencyOptions;
import dev.lithe.evaluate.Scoring;
import dev.lithe.fault.LitheException;
import dev.lithe.report.MeasureOptions;
import dev.lithe.report.QualityGate;
import dev.lithe.report.Report;
import dev.lithe.tensor.Device;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// The options of every command that measures.
final class EvaluationOptions {
    /// The length at which the demo was trained.
    private static final int DEMO_CONTEXT = 256;

    private static final long TOKENS = 8192;

    @Mixin private DeviceFlag device = new DeviceFlag();

    @Option(
            names = "--text",
            paramLabel = "FILE",
            description = "UTF-8 text to measure with (default: the demo's evaluation text).")
    private @Nullable Path text;

    @Option(
            names = "--context",
            paramLabel = "N",
            description =
                    "Tokens of a window (default: 2048, or what the models hold if less; 256 with the demo's text).")
    private @Nullable Integer context;

    @Option(
            names = "--tokens",
            paramLabel = "N",
            description = "Most tokens of the text to use (default: ${DEFAULT-VALUE}).")
    private long tokens; // its default is of the command

    @Option(
            names = "--score",
            paramLabel = "PROTOCOL",
            defaultValue = "all",
            description =
                    "Predictions that count: all, or second-half to compare with llama.cpp (default:"
                            + " ${DEFAULT-VALUE}).")
    private String score = "";

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "0",
            description =
                    "Seed of the intervals and of the order of latency runs (default:"
                            + " ${DEFAULT-VALUE}).")
    private long seed;

    @Option(
            names = "--latency-pairs",
            paramLabel = "N",
            defaultValue = "20",
            description =
                    "Timed runs of each model, interleaved; 0 skips (default: ${DEFAULT-VALUE}).")
    private int latencyPairs;

    @Option(
            names = "--prompt-tokens",
            paramLabel = "N",
            defaultValue = "64",
            description =
                    "Tokens of a timed prompt, at most half of the context (default:"
                            + " ${DEFAULT-VALUE}).")
    private int promptTokens;

    @Option(
            names = "--output-tokens",
            paramLabel = "N",
            defaultValue = "64",
            description =
                    "Tokens generated in a timed run, as far as they fit (default:"
                            + " ${DEFAULT-VALUE}).")
    private int outputTokens;

    @Option(
            names = "--max-perplexity-ratio",
            paramLabel = "X",
            description = "Exit with code 3 when a compressed model's perplexity ratio is above X.")
    private @Nullable Double maxPerplexityRatio;

    EvaluationOptions() {
        this(TOKENS);
    }

    /// @param tokens the default of `--tokens`
    EvaluationOptions(long tokens) {
        this.tokens = tokens;
    }

    /// How to measure; tells on `err` when the text is the demo's.
    ///
    /// @param calibrationText what the compressed models were calibrated with, or null
    /// @param on where the models run
    MeasureOptions measureOptions(@Nullable Path calibrationText, Device on, PrintWriter err) {
        check();
        return options(text == null ? demoText(err) : text, calibrationText, on);
    }

    /// Refuses what is wrong whatever the model.
    void check() {
        checkValues();
        InputFile.require("--text", text);
    }

    /// Refuses what is wrong whatever the files.
    void checkValues() {
        if (maxPerplexityRatio != null) {
            var _ = new QualityGate(maxPerplexityRatio);
        }
        MeasureOptions _ = options(Path.of(""), null, Device.CPU);
    }

    private MeasureOptions options(Path measured, @Nullable Path calibrationText, Device on) {
        var latency = new LatencyOptions(latencyPairs, promptTokens, outputTokens, seed);
        return new MeasureOptions(
                measured,
                text == null && context == null ? Integer.valueOf(DEMO_CONTEXT) : context,
                tokens,
                scoring(),
                seed,
                latency,
                calibrationText,
                on);
    }

    /// Where models run.
    ///
    /// @throws LitheException where libtorch does not see it
    Device device() {
        return device.device();
    }

    private static Path demoText(PrintWriter err) {
        err.println("text       the demo's evaluation text; choose your own with --text");
        return ModelSource.demoEvaluationText();
    }

    private Scoring scoring() {
        return Arrays.stream(Scoring.values())
                .filter(value -> value.label().equals(score))
                .findFirst()
                .orElseThrow(() ->
                        LitheException.badInput("--score %s; it is all or second-half", score));
    }

    /// The limit, or null where none was given.
    @Nullable Double maxPerplexityRatio() {
        return maxPerplexityRatio;
    }

    /// Fails when a limit was given and a compressed model misses it.
    void checkQuality(Report report) {
        if (maxPerplexityRatio != null) {
            new QualityGate(maxPerplexityRatio).check(report);
        }
    }
}
