package dev.lithe.model;

import dev.lithe.fault.LitheException;

/// OPT (Zhang et al., arXiv 2205.01068): the vectors of positions begin with two that no text
/// reaches. Of its sizes the one that norms behind each sum (350M), which also widens its
/// embeddings, is refused.
final class OptFamily extends AbsoluteFamily {
    private static final TensorNames NAMES =
            new TensorNames(
                    "model.decoder.embed_tokens",
                    "model.decoder.embed_positions",
                    "model.decoder.layers.",
                    "self_attn.q_proj",
                    "self_attn.k_proj",
                    "self_attn.v_proj",
                    "",
                    "self_attn.out_proj",
                    "",
                    "fc1",
                    "",
                    "fc2",
                    "self_attn_layer_norm",
                    "final_layer_norm",
                    "model.decoder.final_layer_norm");

    private static final int UNUSED_POSITIONS = 2;

    @Override
    public String architecture() {
        return "OPTForCausalLM";
    }

    @Override
    public String modelType() {
        return "opt";
    }

    @Override
    public TensorNames names() {
        return NAMES;
    }

    @Override
    public int positionOffset() {
        return UNUSED_POSITIONS;
    }

    @Override
    public String usualActivation() {
        return "relu";
    }

    @Override
    public String key(String usual) {
        return usual.equals("intermediate_size") ? "ffn_dim" : usual;
    }

    @Override
    public boolean inputBias(ConfigReader config) {
        return config.flag("enable_bias", true);
    }

    @Override
    public boolean outputBias(ConfigReader config) {
        return config.flag("enable_bias", true);
    }

    @Override
    public boolean mlpBias(ConfigReader config) {
        return config.flag("enable_bias", true);
    }

    /// Loaders look at no key: it is this.
    @Override
    public double normEpsilon(ConfigReader config) {
        return 1e-5;
    }

    @Override
    public void check(ConfigReader config) {
        require(config, "do_layer_norm_before", true);
        require(config, "layer_norm_elementwise_affine", true);
        require(config, "_remove_final_layer_norm", false);
        int width = config.count("hidden_size");
        int embedded = config.count("word_embed_proj_dim", width);
        if (embedded != width) {
            throw LitheException.badInput(
                    "%s: word_embed_proj_dim is %d and hidden_size %d; Lithe has no projection between"
                            + " the two",
                    config.where(), embedded, width);
        }
    }
}
