package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The shapes and constants of a decoder, from `config.json`.
///
/// @param architecture the class name that the checkpoint declares
/// @param vocabSize V
/// @param hiddenSize d
/// @param intermediateSize f
/// @param layers L
/// @param heads h, query heads
/// @param kvHeads g, key-value heads
/// @param headDim hd
/// @param maxPositions longest context
/// @param normEpsilon added to the mean square before its root
/// @param ropeTheta base of the rotary frequencies
/// @param ropeScaling how they are stretched, or null
/// @param rotaryWidth how many of a head's coordinates, the first, are rotated
/// @param tiedEmbeddings whether the output layer is the embedding
/// @param style what else sets the architecture apart
/// @param windows how many positions back each block sees, its own included; 0 for all
/// @param bosToken the id that starts a text, or null
/// @param eosTokens ids that end one
/// @param dtype the type that the checkpoint declares for its weights
/// @param kvCache how keys and values are kept while it runs
/// @param thresholds below which inputs of linears count as 0
/// @param sparseAttention how much of a text each token sees
/// @param pageAttention which pages of a text each query sees
/// @param experts which feed-forward channels each token runs
/// @param sublayers which blocks lack attention or a feed-forward part
public record ModelSpec(
        String architecture,
        int vocabSize,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int maxPositions,
        double normEpsilon,
        double ropeTheta,
        @Nullable RopeScaling ropeScaling,
        int rotaryWidth,
        boolean tiedEmbeddings,
        BlockStyle style,
        List<Integer> windows,
        @Nullable Integer bosToken,
        List<Integer> eosTokens,
        DType dtype,
        KvCacheForm kvCache,
        ActivationThresholds thresholds,
        SparseAttention sparseAttention,
        PageAttention pageAttention,
        Experts experts,
        Sublayers sublayers) {
    private static final int TOKENS = 1024;

    /// Widest head whose keys are multiplied by a matrix before they are rounded.
    private static final int MAX_TURNED = 4096;

    /// Far above any real model, and low enough that naming all tensors costs nothing.
    private static final int MAX_LAYERS = 10_000;

    public ModelSpec {
        windows = List.copyOf(windows);
        eosTokens = List.copyOf(eosTokens);
    }

    /// Reads and checks a configuration; `where` names it in errors.
    public static ModelSpec of(JsonNode json, String where) {
        ModelFamily family = Architecture.family(json, where);
        var config = new ConfigReader(json, where, family::key);
        family.check(config);
        int heads = config.count("num_attention_heads");
        int hiddenSize = config.count("hidden_size");
        int channels = family.intermediateSize(config, hiddenSize);
        int vocabSize = config.count("vocab_size");
        List<Integer> bos = config.tokens("bos_token_id", vocabSize);
        int headDim = config.count("head_dim", family.headDim(hiddenSize, heads));
        int layers = config.countUpTo("num_hidden_layers", MAX_LAYERS);
        var rope = new RopeReader(config, family, where, headDim);
        int positions = rope.positions();
        var spec =
                new ModelSpec(
                        family.architecture(),
                        vocabSize,
                        hiddenSize,
                        channels,
                        layers,
                        heads,
                        config.count("num_key_value_heads", heads),
                        headDim,
                        positions,
                        family.normEpsilon(config),
                        rope.theta(),
                        rope.scaling(),
                        rope.width(),
                        config.flag("tie_word_embeddings", family.tied()),
                        BlockStyle.of(family, config, hiddenSize, headDim),
                        IntStream.range(0, layers)
                                .map(block -> family.window(config, block))
                                .map(window -> window < positions ? window : 0)
                                .boxed()
                                .toList(),
                        bos.isEmpty() ? null : bos.getFirst(),
                        config.tokens("eos_token_id", vocabSize),
                        dtype(config.text("dtype", config.text("torch_dtype", "float32")), where),
                        KvCacheForm.of(config, where),
                        ActivationThresholds.of(config, layers, where),
                        SparseAttention.of(config, positions, where),
                        PageAttention.of(config, where),
                        Experts.of(config, channels, where),
                        Sublayers.of(config, layers, where));
        spec.check(where);
        return spec;
    }

    private void check(String where) {
        if (heads % kvHeads != 0) {
            throw LitheException.badInput(
                    "%s: %d attention heads cannot share %d key-value heads evenly",
                    where, heads, kvHeads);
        }
        if ((heads + 2L * kvHeads) * headDim > ConfigReader.MAX_COUNT) {
            throw LitheException.badInput(
                    "%s: %d query and %d key-value heads of width %d; together they may be %d wide",
                    where, heads, kvHeads, headDim, ConfigReader.MAX_COUNT);
        }
        if (style.learnedPositions() && sublayers.any()) {
            throw LitheException.badInput(
                    "%s: block_configs leaves out parts of blocks, which Lithe runs of models with"
                            + " rotary positions only",
                    where);
        }
        if (style.learnedPositions() && sparseAttention.limited()) {
            throw LitheException.badInput(
                    "%s: sparse attention moves tokens to other positions as a text goes on, and this"
                            + " model has learned vectors for its %d; leave sparse_attention out",
                    where, maxPositions);
        }
        if (pageAttention.limited() && sparseAttention.limited()) {
            throw LitheException.badInput(
                    "%s: page_attention chooses among all that sparse_attention forgets; leave one of"
                            + " them out",
                    where);
        }
        if (pageAttention.limited() && !kvCache.equals(KvCacheForm.FLOAT)) {
            throw LitheException.badInput(
                    "%s: page_attention reads keys and values in float32, and kv_cache keeps them in"
                            + " %s; leave one of them out",
                    where, kvCache.label());
        }
        if (sparseAttention.heavy() > 0 && !kvCache.equals(KvCacheForm.FLOAT)) {
            throw LitheException.badInput(
                    "%s: keys and values in %s cannot be moved without loss, and %d heavy hitters are;"
                            + " leave out kv_cache, or heavy of sparse_attention",
                    where, kvCache.label(), sparseAttention.heavy());
        }
        if (headDim % 2 != 0 && rotaryWidth > 0) {
            throw LitheException.badInput(
                    "%s: head_dim %d is odd; rotary positions need pairs", where, headDim);
        }
        if (kvCache.keys() == 4 && headDim > MAX_TURNED) {
            throw LitheException.badInput(
                    "%s: head_dim %d is too wide for keys in 4 bits, which takes up to %d; choose 8",
                    where, headDim, MAX_TURNED);
        }
    }

    private static DType dtype(String name, String where) {
        return switch (name) {
            case "float16" -> DType.F16;
            case "bfloat16" -> DType.BF16;
            case "float32" -> DType.F32;
            default ->
                    throw LitheException.badInput(
                            "%s: torch_dtype '%s' is unknown; Lithe knows float32, float16, bfloat16",
                            where, name);
        };
    }

    /// Numbers that make up the model: weights, biases, norms and embedding, however they are
    /// stored.
    public long parameters() {
        long parameters = (long) vocabSize * hiddenSize;
        parameters +=
                Architecture.parts(this).stream()
                                .flatMap(part -> part.norms().keySet().stream())
                                .mapToLong(norm -> norm.width(this))
                                .sum()
                        * (style.layerNorms() ? 2 : 1);
        parameters += (long) positionRows() * hiddenSize;
        for (LinearName linear : Architecture.linears(this)) {
            parameters += linear.weights() + (linear.hasBias() ? linear.outFeatures() : 0);
        }
        return parameters;
    }

    /// Rows of the learned positions; 0 where there are none.
    int positionRows() {
        return style.learnedPositions() ? maxPositions + style.positionOffset() : 0;
    }

    /// Bytes of the keys and values of one sequence of up to `positions` tokens.
    public long cacheBytes(int positions) {
        int rows = cacheRows(positions);
        long bounds = pageAttention.boundFloats(rows, headDim) * Float.BYTES;
        long sums = sparseAttention.sumBytes(rows);
        return kvCache.bytes(this, rows) + (bounds + sums) * attentionBlocks() * kvHeads;
    }

    /// Blocks that have attention, and so keys and values.
    public int attentionBlocks() {
        return layers - sublayers.noAttention().size();
    }

    /// Rows of the cache of one sequence of up to `positions` tokens.
    public int cacheRows(int positions) {
        return sparseAttention.rows(positions);
    }

    /// Tokens of the longest text that it can read: its context, unless how long a text gets takes
    /// no memory.
    public int longestText() {
        return sparseAttention.longest(maxPositions);
    }

    /// How many of `past` tokens the one after them sees, at most.
    public int seen(int past) {
        return sparseAttention.limited() ? Math.min(past, sparseAttention.reach()) : past;
    }

    /// The same by the token, in a cache long enough that its last places do not matter.
    public long cacheBytesPerToken() {
        return Math.ceilDiv(kvCache.bytes(this, TOKENS), TOKENS);
    }

    /// How many blocks choose among a text's pages.
    public long blocksThatChoosePages() {
        return IntStream.range(0, layers).filter(this::choosesPages).count();
    }

    boolean choosesPages(int block) {
        return sublayers.attends(block) && pageAttention.chooses(block, windows.get(block));
    }

    /// Whether blocks differ in how far back they see.
    public boolean mixesWindows() {
        return windows.stream().distinct().count() > 1;
    }

    /// The rotary frequency of each pair of a head's coordinates: `theta^(-2i/r)` for r rotated
    /// ones, stretched where the model asks for it; and those of blocks with a window, where they
    /// have their own.
    List<double[]> rotaryFrequencies() {
        double[] usual = frequencies(ropeTheta);
        if (ropeScaling != null) {
            usual = ropeScaling.stretch(usual);
        }
        return style.localTheta() == 0
                ? List.of(usual)
                : List.of(usual, frequencies(style.localTheta()));
    }

    private double[] frequencies(double theta) {
        double[] frequencies = new double[rotaryWidth / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = Math.pow(theta, -2.0 * i / rotaryWidth);
        }
        return frequencies;
    }
}
