package dev.lithe.model;

/// Gemma 2 (Gemma Team, arXiv 2408.00118): what attention and feed-forward part add is normed,
/// attention scores and logits are capped, every other block has a window.
class Gemma2Family extends GemmaFamily {
    private static final int WINDOW = 4096;
    private static final double QUERY_WIDTH = 256;
    private static final double ATTENTION_CAP = 50;
    private static final double LOGIT_CAP = 30;

    @Override
    public String architecture() {
        return "Gemma2ForCausalLM";
    }

    @Override
    public String modelType() {
        return "gemma2";
    }

    @Override
    public boolean outputNorms() {
        return true;
    }

    @Override
    public double attentionScale(ConfigReader config, int headDim) {
        return Math.sqrt(headDim / config.positive("query_pre_attn_scalar", QUERY_WIDTH));
    }

    @Override
    public double attentionCap(ConfigReader config) {
        return config.positiveOrNull("attn_logit_softcapping", ATTENTION_CAP);
    }

    @Override
    public double logitCap(ConfigReader config) {
        return config.positiveOrNull("final_logit_softcapping", LOGIT_CAP);
    }

    @Override
    public int window(ConfigReader config, int block) {
        return config.layerType(block, hasWindow(config, block))
                ? config.count("sliding_window", WINDOW)
                : 0;
    }

    /// Where `layer_types` does not say.
    boolean hasWindow(ConfigReader config, int block) {
        return block % 2 == 0;
    }
}
