package dev.lithe.model;

import dev.lithe.fault.LitheException;

/// What GPT-2 and OPT have in common, and differ in from Llama: a learned vector for each position
/// is added to the embedding and nothing is rotated, norms subtract the mean and have biases
/// (LayerNorm), every linear has a bias, and the feed-forward part has no gate.
abstract class AbsoluteFamily implements ModelFamily {
    private static final double EPSILON = 1e-5;

    @Override
    public boolean layerNorms() {
        return true;
    }

    @Override
    public double normEpsilon(ConfigReader config) {
        return config.positive("layer_norm_epsilon", EPSILON);
    }

    @Override
    public boolean inputBias(ConfigReader config) {
        return true;
    }

    @Override
    public boolean outputBias(ConfigReader config) {
        return true;
    }

    @Override
    public boolean mlpBias(ConfigReader config) {
        return true;
    }

    @Override
    public boolean tied() {
        return true;
    }

    @Override
    public Activation activation(ConfigReader config) {
        return Activation.alone(config, "activation_function", usualActivation());
    }

    abstract String usualActivation();

    /// Refuses a setting that changes what is computed and that Lithe does not know.
    static void require(ConfigReader config, String key, boolean wanted) {
        if (config.flag(key, wanted) != wanted) {
            throw LitheException.badInput(
                    "%s: %s is %s; Lithe runs models of this architecture with %s only",
                    config.where(), key, !wanted, wanted);
        }
    }
}
