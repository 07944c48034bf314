package dev.lithe.model;

/// The text models of Gemma 3 (Gemma Team, arXiv 2503.19786): Gemma 2 with norms of query and key
/// heads in the place of caps; five blocks of six have a window, and rotary frequencies of their
/// own.
final class Gemma3Family extends Gemma2Family {
    private static final int PATTERN = 6;
    private static final double THETA = 1_000_000;
    private static final double LOCAL_THETA = 10_000;

    @Override
    public String architecture() {
        return "Gemma3ForCausalLM";
    }

    @Override
    public String modelType() {
        return "gemma3_text";
    }

    @Override
    public boolean headNorms() {
        return true;
    }

    @Override
    public double attentionCap(ConfigReader config) {
        return config.positiveOrNull("attn_logit_softcapping", 0);
    }

    @Override
    public double logitCap(ConfigReader config) {
        return config.positiveOrNull("final_logit_softcapping", 0);
    }

    @Override
    public double theta() {
        return THETA;
    }

    @Override
    public double localTheta(ConfigReader config) {
        return config.section("rope_parameters")
                .section("sliding_attention")
                .positive("rope_theta", config.positive("rope_local_base_freq", LOCAL_THETA));
    }

    @Override
    boolean hasWindow(ConfigReader config, int block) {
        int pattern =
                config.count(
                        "sliding_window_pattern", config.count("_sliding_window_pattern", PATTERN));
        return (block + 1) % pattern != 0;
    }
}
