package dev.lithe.cli;

import dev.lithe.proto.v1.GenerationInput;
import dev.lithe.proto.v1.Stopping;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// The options of `generate` that shape the text. What is left out is left to the server, which
/// also checks the ranges.
final class SamplingFlags {
    @Option(
            names = "--max-tokens",
            description = "Most tokens to generate. Default: ${DEFAULT-VALUE}.",
            defaultValue = "64")
    private int maxTokens = 64;

    @Option(names = "--temperature", description = "0 (the default) takes the most likely token.")
    private @Nullable Float temperature;

    @Option(names = "--top-k", description = "Draw among the k most likely tokens.")
    private @Nullable Integer topK;

    @Option(names = "--top-p", description = "Draw among the tokens that reach this probability.")
    private @Nullable Float topP;

    @Option(
            names = "--min-p",
            description = "Draw among tokens at least this fraction as likely as the first.")
    private @Nullable Float minP;

    @Option(
            names = "--repetition-penalty",
            description = "Above 1 makes tokens that occurred less likely.")
    private @Nullable Float repetitionPenalty;

    @Option(names = "--seed", description = "The same seed gives the same text.")
    private @Nullable Long seed;

    @Option(
            names = "--stop",
            paramLabel = "TEXT",
            description = "Stop before this text (repeatable).")
    private List<String> stop = new ArrayList<>();

    @Option(names = "--ignore-eos", description = "Go on after the model's end token.")
    private boolean ignoreEos;

    void applyTo(GenerationInput.Builder input) {
        Stopping.Builder stopping = input.getStoppingBuilder();
        stopping.setMaxNewTokens(maxTokens).addAllStopStrings(stop).setIgnoreEos(ignoreEos);
        if (temperature != null) {
            input.setTemperature(temperature);
        }
        if (topK != null) {
            input.getSamplingBuilder().setTopK(topK);
        }
        if (topP != null) {
            input.getSamplingBuilder().setTopP(topP);
        }
        if (minP != null) {
            input.getSamplingBuilder().setMinP(minP);
        }
        if (repetitionPenalty != null) {
            input.getDecodingBuilder().setRepetitionPenalty(repetitionPenalty);
        }
        if (seed != null) {
            input.getSamplingBuilder().setSeed(seed);
        }
    }
}
