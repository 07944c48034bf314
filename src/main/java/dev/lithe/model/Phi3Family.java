package dev.lithe.model;

/// Phi-3, 3.5 and 4 mini (Abdin et al., arXiv 2404.14219): q, k and v are stored as one linear, and
/// gate and up as another, and stay so: what is made of them loads where Phi does. Some rotate only
/// the first `partial_rotary_factor` of a head. With `longrope` Lithe runs the context that the
/// model was first trained with, whose factors (`short_factor`) do not depend on a text's length.
final class Phi3Family implements ModelFamily {
    @Override
    public String architecture() {
        return "Phi3ForCausalLM";
    }

    @Override
    public String modelType() {
        return "phi3";
    }

    @Override
    public boolean fused() {
        return true;
    }

    @Override
    public int window(ConfigReader config, int block) {
        return config.window(config.layerType(block, true));
    }
}
