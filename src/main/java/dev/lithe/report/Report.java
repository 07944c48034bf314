package dev.lithe.report;

import dev.lithe.fault.LitheException;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What a measurement found, complete: every other form (JSON, Markdown, terminal) is written from
/// it. The component names, in snake case, are the contract of `report.json`; later versions only
/// add. What was not measured is null.
///
/// @param schema always [#SCHEMA]
/// @param variants the original first
/// @param continuations how the models go on from the same words
public record Report(
        String schema,
        Model model,
        Environment environment,
        Evaluation evaluation,
        List<Variant> variants,
        List<Continuation> continuations) {
    /// The name and version of the JSON form.
    public static final String SCHEMA = "lithe.report/v1";

    public Report {
        if (!SCHEMA.equals(schema)) {
            throw LitheException.badInput(
                    "report schema '%s' is unknown; this Lithe reads %s", schema, SCHEMA);
        }
        if (variants.isEmpty()) {
            throw LitheException.badInput("a report needs at least one variant, the original");
        }
        variants = List.copyOf(variants);
        continuations = continuations == null ? List.of() : List.copyOf(continuations);
    }

    /// The model that all others are compared with.
    public Variant original() {
        return variants.getFirst();
    }

    /// The models that are compared with it.
    public List<Variant> compressed() {
        return variants.subList(1, variants.size());
    }

    /// The model that was compressed.
    ///
    /// @param name its folder's name, or `demo`
    /// @param architecture as its configuration calls it
    /// @param parameters of the original
    /// @param source what the user called it
    public record Model(String name, String architecture, long parameters, String source) {}

    /// Where it was measured.
    ///
    /// @param lithe version
    /// @param java version
    /// @param os name, version and architecture
    /// @param cpu the processor's name
    /// @param cores that this process may use
    /// @param threads that one operation may use
    /// @param libtorch version
    /// @param device what computed
    /// @param compute the type that activations and logits had
    /// @param date when, in UTC, by ISO 8601
    public record Environment(
            String lithe,
            String java,
            String os,
            String cpu,
            int cores,
            int threads,
            String libtorch,
            String device,
            String compute,
            String date) {}

    /// How it was measured.
    ///
    /// @param tokens read by each model
    /// @param scoredTokens predictions that count
    /// @param windows that the tokens make, and that the bootstrap draws from
    /// @param context tokens of a window
    /// @param score `all` or `second-half`
    /// @param seed of the bootstrap and the order of latency runs
    /// @param resamples of the bootstrap
    /// @param calibrationText what the compressed models were calibrated with, where known
    /// @param latency how latency was measured, or null when it was not
    public record Evaluation(
            Text text,
            int tokens,
            int scoredTokens,
            int windows,
            int context,
            String score,
            long seed,
            int resamples,
            @Nullable Text calibrationText,
            @Nullable LatencySettings latency) {}

    /// A text, by its file's name and hash.
    public record Text(String name, String sha256) {}

    /// How latency was measured, and how much the original differed from itself.
    ///
    /// @param pairs runs of each model, interleaved in random order
    /// @param promptTokens of each prompt
    /// @param outputTokens generated in each run
    /// @param noise the original's second runs against its first
    public record LatencySettings(int pairs, int promptTokens, int outputTokens, Noise noise) {}

    /// Time ratios of the original to itself.
    public record Noise(Ratio ttft, Ratio tpot) {}

    /// One model, measured from its files.
    ///
    /// @param name `original`, `compressed`, or the folder's
    /// @param source its folder
    /// @param bytesOnDisk of its weight files
    /// @param folderBytes of all its files
    /// @param parameters that its configuration gives it
    /// @param bitsPerWeight 8 x `bytesOnDisk` / `parameters`
    /// @param memoryBytes that its weights occupy while it runs
    /// @param kvBytesPerToken that keys and values of one token occupy
    /// @param klDivergence from the original, null for the original
    /// @param sameTop share of predictions whose top token is the original's, null for the original
    /// @param compressSeconds that its making took, where known
    /// @param recipe that made it, where known
    /// @param linears linear layers by the form they are stored in
    /// @param kernels fused linears by the kernel that runs them
    /// @param layers what compression did to each linear layer, where known
    /// @param stages what each stage of its recipe left, the original first; empty where unknown
    /// @param ratios to the original, null for the original
    /// @param bitsPerCharacter what a character of the text costs, which models compare by whatever
    ///   tokens they split it into; null in reports of earlier versions
    /// @param trainings of stages of its recipe that trained, in their order
    public record Variant(
            String name,
            String source,
            long bytesOnDisk,
            long folderBytes,
            long parameters,
            double bitsPerWeight,
            long memoryBytes,
            long kvBytesPerToken,
            Perplexity perplexity,
            @Nullable Divergence klDivergence,
            @Nullable Double sameTop,
            @Nullable Latency latency,
            @Nullable Double compressSeconds,
            @Nullable String recipe,
            Map<String, Integer> linears,
            Map<String, Integer> kernels,
            List<Layer> layers,
            List<Stage> stages,
            @Nullable Ratios ratios,
            @Nullable BitsPerCharacter bitsPerCharacter,
            List<Training> trainings) {
        public Variant {
            trainings = trainings == null ? List.of() : List.copyOf(trainings);
            layers = List.copyOf(layers);
            stages = stages == null ? List.of() : List.copyOf(stages);
            linears = Map.copyOf(linears);
            kernels = Map.copyOf(kernels);
        }

        /// The same under another name.
        public Variant named(String other) {
            return new Variant(
                    other,
                    source,
                    bytesOnDisk,
                    folderBytes,
                    parameters,
                    bitsPerWeight,
                    memoryBytes,
                    kvBytesPerToken,
                    perplexity,
                    klDivergence,
                    sameTop,
                    latency,
                    compressSeconds,
                    recipe,
                    linears,
                    kernels,
                    layers,
                    stages,
                    ratios,
                    bitsPerCharacter,
                    trainings);
        }
    }

    /// How a stage of the recipe trained.
    ///
    /// @param stage its technique
    /// @param steps that it was to take
    /// @param tokensPerStep that a step looked at
    /// @param loss pairs of a step and the mean loss of the steps that end there, in nats
    /// @param heldOut pairs of a step and the loss before it on what no step saw
    public record Training(
            String stage,
            int steps,
            int tokensPerStep,
            List<List<Double>> loss,
            List<List<Double>> heldOut) {
        public Training {
            loss = List.copyOf(loss);
            heldOut = List.copyOf(heldOut);
        }
    }

    /// A linear layer.
    ///
    /// @param error relative to what it was, null where it was not measured
    /// @param of `outputs` on the calibration text, or `weights`: what the errors are errors of
    /// @param nearest the error that rounding to nearest would have given
    /// @param trouble what went other than configured
    public record Layer(
            String name,
            String form,
            @Nullable Double error,
            @Nullable String of,
            @Nullable Double nearest,
            @Nullable String trouble) {}

    /// What is left of the model behind a stage, measured on a few windows of the text.
    ///
    /// @param name the technique's, or `original`
    /// @param bytesOnDisk of its weight files
    /// @param perplexityRatio to the original; null where it splits the text into other tokens
    /// @param klDivergence mean KL(original || model) of a prediction, in nats; null likewise
    public record Stage(
            String name,
            long bytesOnDisk,
            @Nullable Double perplexityRatio,
            @Nullable Double klDivergence) {}

    /// Perplexity with its 95 % interval; the bounds are null where windows are too few.
    ///
    /// @param tokens predictions that count
    /// @param context tokens of a window
    public record Perplexity(
            double value, int tokens, int context, @Nullable Double low, @Nullable Double high) {}

    /// Bits that a character costs, with their 95 % interval; the bounds are null where windows are
    /// too few.
    ///
    /// @param characters that count
    public record BitsPerCharacter(
            double value, long characters, @Nullable Double low, @Nullable Double high) {}

    /// KL(original || variant) of a prediction, in nats.
    public record Divergence(double mean, double p99) {}

    /// Times in milliseconds, and output tokens per second over whole runs.
    ///
    /// @param ttftMs time to first token
    /// @param tpotMs time per output token after the first
    /// @param samples what each run took, where known
    public record Latency(
            Spread ttftMs, Spread tpotMs, double tokensPerSecond, @Nullable Samples samples) {}

    /// Times of single runs in milliseconds, in the order of the pairs.
    public record Samples(List<Double> ttftMs, List<Double> tpotMs) {
        public Samples {
            ttftMs = List.copyOf(ttftMs);
            tpotMs = List.copyOf(tpotMs);
        }
    }

    /// Words of the text, and how each variant goes on from there, always taking the likeliest
    /// token.
    ///
    /// @param texts in the order of the variants
    public record Continuation(String prompt, List<String> texts) {
        public Continuation {
            texts = List.copyOf(texts);
        }
    }

    /// Percentiles.
    public record Spread(double p50, double p95, double p99) {}

    /// A variant by the original. Times compare medians.
    ///
    /// @param perplexity null where the two split the text into other tokens, which then cannot be
    ///   compared one by one; nor is there a divergence
    public record Ratios(
            Ratio bytesOnDisk,
            @Nullable Ratio perplexity,
            @Nullable Ratio ttft,
            @Nullable Ratio tpot,
            @Nullable Ratio bitsPerCharacter) {}

    /// A ratio with its 95 % interval, null where there is none, and for times the verdict.
    public record Ratio(
            double value, @Nullable Double low, @Nullable Double high, @Nullable String verdict) {}
}
