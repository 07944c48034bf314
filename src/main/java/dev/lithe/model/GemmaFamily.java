package dev.lithe.model;

/// Gemma (Gemma Team, arXiv 2403.08295): embeddings are multiplied by √d, norms by 1 plus their
/// stored scale, the gate is GELU, and the output layer is the embedding.
class GemmaFamily implements ModelFamily {
    private static final int HEAD_DIM = 256;

    @Override
    public String architecture() {
        return "GemmaForCausalLM";
    }

    @Override
    public String modelType() {
        return "gemma";
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
    public boolean normsAddOne() {
        return true;
    }

    @Override
    public Activation activation(ConfigReader config) {
        return config.activation("hidden_activation", "gelu_pytorch_tanh");
    }

    @Override
    public double embeddingScale(int hiddenSize) {
        return Math.sqrt(hiddenSize);
    }

    @Override
    public boolean tied() {
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
