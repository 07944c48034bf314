package dev.lithe.model;

/// Qwen 3 (Yang et al., arXiv 2505.09388): no biases unless `attention_bias` says so; each query
/// and key head is normed. Windows are as in Qwen 2.
final class Qwen3Family extends Qwen2Family {
    private static final int HEAD_DIM = 128;

    @Override
    public String architecture() {
        return "Qwen3ForCausalLM";
    }

    @Override
    public String modelType() {
        return "qwen3";
    }

    @Override
    public boolean inputBias(ConfigReader config) {
        return config.flag("attention_bias", false);
    }

    @Override
    public boolean outputBias(ConfigReader config) {
        return config.flag("attention_bias", false);
    }

    @Override
    public boolean headNorms() {
        return true;
    }

    @Override
    public int headDim(int hiddenSize, int heads) {
        return HEAD_DIM;
    }

    @Override
    public boolean takesAttentionBias() {
        return true;
    }
}
