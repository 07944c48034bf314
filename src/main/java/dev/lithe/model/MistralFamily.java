package dev.lithe.model;

/// Mistral (Jiang et al., arXiv 2310.06825): Llama without biases; `sliding_window`, where it is
/// set, holds for every block.
final class MistralFamily implements ModelFamily {
    @Override
    public String architecture() {
        return "MistralForCausalLM";
    }

    @Override
    public String modelType() {
        return "mistral";
    }

    @Override
    public int window(ConfigReader config, int block) {
        return config.window(config.layerType(block, true));
    }
}
