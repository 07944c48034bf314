package dev.lithe.model;

/// Qwen 2 and 2.5 (Yang et al., arXiv 2407.10671): q, k and v have biases, nothing else has. With
/// `use_sliding_window` the blocks from `max_window_layers` on have a window.
class Qwen2Family implements ModelFamily {
    private static final int WINDOW_FROM = 28;

    @Override
    public String architecture() {
        return "Qwen2ForCausalLM";
    }

    @Override
    public String modelType() {
        return "qwen2";
    }

    @Override
    public boolean inputBias(ConfigReader config) {
        return true;
    }

    @Override
    public int window(ConfigReader config, int block) {
        if (!config.flag("use_sliding_window", false)) {
            return 0;
        }
        int first = config.countFromZero("max_window_layers", WINDOW_FROM);
        return config.window(config.layerType(block, block >= first));
    }
}
