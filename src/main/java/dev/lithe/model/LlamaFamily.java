package dev.lithe.model;

/// Llama 2 and 3 (Touvron et al., arXiv 2307.09288; Grattafiori et al., arXiv 2407.21783).
final class LlamaFamily implements ModelFamily {
    @Override
    public String architecture() {
        return "LlamaForCausalLM";
    }

    @Override
    public String modelType() {
        return "llama";
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
    public boolean mlpBias(ConfigReader config) {
        return config.flag("mlp_bias", false);
    }

    @Override
    public boolean takesAttentionBias() {
        return true;
    }

    @Override
    public boolean takesMlpBias() {
        return true;
    }
}
