package dev.lithe.model;

/// An architecture: what its `config.json` says beyond the shapes, and what holds where that is
/// silent. The answers given here are those of most; a family overrides where it differs.
interface ModelFamily {
    /// The class name that checkpoints declare.
    String architecture();

    /// The `model_type` that they declare.
    String modelType();

    /// What its tensors are called.
    default TensorNames names() {
        return TensorNames.USUAL;
    }

    /// The key under which its `config.json` has what others call `usual`.
    default String key(String usual) {
        return usual;
    }

    /// Refuses what Lithe cannot run of it.
    ///
    /// @throws dev.lithe.fault.LitheException with the setting
    default void check(ConfigReader config) {}

    /// Whether dense weights of blocks are stored with a row per input.
    default boolean transposed() {
        return false;
    }

    default int intermediateSize(ConfigReader config, int hiddenSize) {
        return config.count("intermediate_size");
    }

    /// `max_position_embeddings` where the configuration is silent.
    default int positions() {
        return 2048;
    }

    default double normEpsilon(ConfigReader config) {
        return config.positive("rms_norm_eps", 1e-6);
    }

    /// See [BlockStyle], for this and the following.
    default boolean inputBias(ConfigReader config) {
        return false;
    }

    default boolean outputBias(ConfigReader config) {
        return false;
    }

    default boolean mlpBias(ConfigReader config) {
        return false;
    }

    default boolean headNorms() {
        return false;
    }

    default boolean outputNorms() {
        return false;
    }

    default boolean layerNorms() {
        return false;
    }

    default int positionOffset() {
        return BlockStyle.ROTARY;
    }

    default boolean normsAddOne() {
        return false;
    }

    default boolean fused() {
        return false;
    }

    default Activation activation(ConfigReader config) {
        return config.activation("hidden_act", "silu");
    }

    default double embeddingScale(int hiddenSize) {
        return 1;
    }

    default double attentionScale(ConfigReader config, int headDim) {
        return 1;
    }

    default double attentionCap(ConfigReader config) {
        return 0;
    }

    default double logitCap(ConfigReader config) {
        return 0;
    }

    default double localTheta(ConfigReader config) {
        return 0;
    }

    /// How many positions back a block sees, its own included; 0 for all.
    default int window(ConfigReader config, int block) {
        return 0;
    }

    /// `tie_word_embeddings` where the configuration is silent.
    default boolean tied() {
        return false;
    }

    /// `head_dim` where the configuration is silent.
    default int headDim(int hiddenSize, int heads) {
        return Math.max(1, hiddenSize / heads);
    }

    /// `rope_theta` where the configuration is silent.
    default double theta() {
        return 10_000;
    }

    /// Whether loaders look at `attention_bias`, so that o can be given a bias.
    default boolean takesAttentionBias() {
        return false;
    }

    /// The same for `mlp_bias`, and gate, up and down.
    default boolean takesMlpBias() {
        return false;
    }
}
