package dev.lithe.model;

/// GPT-2 (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019): q, k and v
/// are one linear, and weights are stored with a row per input (`Conv1D`), as they stay.
final class Gpt2Family extends AbsoluteFamily {
    private static final TensorNames NAMES =
            new TensorNames(
                    "transformer.wte",
                    "transformer.wpe",
                    "transformer.h.",
                    "",
                    "",
                    "",
                    "attn.c_attn",
                    "attn.c_proj",
                    "",
                    "mlp.c_fc",
                    "",
                    "mlp.c_proj",
                    "ln_1",
                    "ln_2",
                    "transformer.ln_f");

    private static final int POSITIONS = 1024;

    @Override
    public String architecture() {
        return "GPT2LMHeadModel";
    }

    @Override
    public String modelType() {
        return "gpt2";
    }

    @Override
    public TensorNames names() {
        return NAMES;
    }

    @Override
    public boolean fused() {
        return true;
    }

    @Override
    public boolean transposed() {
        return true;
    }

    @Override
    public int positionOffset() {
        return 0;
    }

    @Override
    public String usualActivation() {
        return "gelu_new";
    }

    /// `n_inner`, or four times the hidden size.
    @Override
    public int intermediateSize(ConfigReader config, int hiddenSize) {
        return config.count("intermediate_size", 4 * hiddenSize);
    }

    @Override
    public int positions() {
        return POSITIONS;
    }

    @Override
    public String key(String usual) {
        return switch (usual) {
            case "hidden_size" -> "n_embd";
            case "num_hidden_layers" -> "n_layer";
            case "num_attention_heads" -> "n_head";
            case "intermediate_size" -> "n_inner";
            case "max_position_embeddings" -> "n_positions";
            default -> usual;
        };
    }

    @Override
    public void check(ConfigReader config) {
        require(config, "scale_attn_weights", true);
        require(config, "scale_attn_by_inverse_layer_idx", false);
        require(config, "add_cross_attention", false);
    }
}
