package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.RawTensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/// The forward pass written out in loops over doubles, one position after the other, straight from
/// config.json and the tensors. It shares no code with the program.
final class NaiveLlama {
    private final JsonNode config;
    private final Map<String, float[]> weights = new HashMap<>();
    private final int hidden;
    private final int heads;
    private final int kvHeads;
    private final int headDim;
    private final double[] frequencies;
    private UnaryOperator<double[]> keptKeys = UnaryOperator.identity();
    private UnaryOperator<double[]> keptValues = UnaryOperator.identity();

    NaiveLlama(JsonNode config, Map<String, RawTensor> tensors) {
        this.config = config;
        tensors.forEach((name, tensor) -> weights.put(name, tensor.floats()));
        this.hidden = config.path("hidden_size").asInt();
        this.heads = config.path("num_attention_heads").asInt();
        this.kvHeads = config.path("num_key_value_heads").asInt();
        this.headDim = config.path("head_dim").asInt();
        this.frequencies = frequencies();
    }

    /// What becomes of each head's keys and values before attention sees them.
    NaiveLlama keeping(UnaryOperator<double[]> keys, UnaryOperator<double[]> values) {
        keptKeys = keys;
        keptValues = values;
        return this;
    }

    /// The logits of every position of `ids`, (T, V).
    double[][] logits(int... ids) {
        double[][] x = new double[ids.length][];
        for (int t = 0; t < ids.length; t++) {
            x[t] = row("model.embed_tokens.weight", ids[t], hidden);
        }
        for (int layer = 0; layer < config.path("num_hidden_layers").asInt(); layer++) {
            block(x, "model.layers." + layer + ".");
        }
        boolean tied = config.path("tie_word_embeddings").asBoolean();
        String output = tied ? "model.embed_tokens" : "lm_head";
        double[][] logits = new double[ids.length][];
        for (int t = 0; t < ids.length; t++) {
            logits[t] = linear(output, norm("model.norm", x[t]));
        }
        return logits;
    }

    private void block(double[][] x, String name) {
        double[][] q = new double[x.length][];
        double[][] k = new double[x.length][];
        double[][] v = new double[x.length][];
        for (int t = 0; t < x.length; t++) {
            double[] y = norm(name + "input_layernorm", x[t]);
            q[t] = rotate(linear(name + "self_attn.q_proj", y), heads, t);
            k[t] = byHead(rotate(linear(name + "self_attn.k_proj", y), kvHeads, t), keptKeys);
            v[t] = byHead(linear(name + "self_attn.v_proj", y), keptValues);
        }
        for (int t = 0; t < x.length; t++) {
            double[] o = linear(name + "self_attn.o_proj", attend(q[t], k, v, t));
            add(x[t], o);
            double[] y = norm(name + "post_attention_layernorm", x[t]);
            double[] gate = linear(name + "mlp.gate_proj", y);
            double[] up = linear(name + "mlp.up_proj", y);
            for (int i = 0; i < up.length; i++) {
                up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
            }
            add(x[t], linear(name + "mlp.down_proj", up));
        }
    }

    private double[] byHead(double[] x, UnaryOperator<double[]> change) {
        double[] result = new double[x.length];
        for (int first = 0; first < x.length; first += headDim) {
            double[] head = change.apply(Arrays.copyOfRange(x, first, first + headDim));
            System.arraycopy(head, 0, result, first, headDim);
        }
        return result;
    }

    /// Attention of the query at `position` over the positions up to it.
    private double[] attend(double[] q, double[][] k, double[][] v, int position) {
        double[] result = new double[heads * headDim];
        for (int head = 0; head < heads; head++) {
            int shared = head / (heads / kvHeads) * headDim;
            double[] weight = new double[position + 1];
            double sum = 0;
            for (int s = 0; s <= position; s++) {
                double dot = 0;
                for (int i = 0; i < headDim; i++) {
                    dot += q[head * headDim + i] * k[s][shared + i];
                }
                weight[s] = Math.exp(dot / Math.sqrt(headDim));
                sum += weight[s];
            }
            for (int s = 0; s <= position; s++) {
                for (int i = 0; i < headDim; i++) {
                    result[head * headDim + i] += weight[s] / sum * v[s][shared + i];
                }
            }
        }
        return result;
    }

    /// Turns the pair (i, i + hd / 2) of every head by position times frequency.
    private double[] rotate(double[] x, int count, int position) {
        int half = headDim / 2;
        double[] result = new double[x.length];
        for (int head = 0; head < count; head++) {
            for (int i = 0; i < half; i++) {
                double angle = position * frequencies[i];
                double a = x[head * headDim + i];
                double b = x[head * headDim + half + i];
                result[head * headDim + i] = a * Math.cos(angle) - b * Math.sin(angle);
                result[head * headDim + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
            }
        }
        return result;
    }

    private double[] frequencies() {
        double theta = config.path("rope_theta").asDouble();
        JsonNode scaling = config.path("rope_scaling");
        double[] result = new double[headDim / 2];
        for (int i = 0; i < result.length; i++) {
            double frequency = Math.pow(theta, -2.0 * i / headDim);
            result[i] = scaling.isObject() ? stretched(frequency, scaling) : frequency;
        }
        return result;
    }

    /// Llama 3's rule: long waves are slowed by the factor, short ones stay, and between the two
    /// the slowing fades out linearly in the number of turns within the original context.
    private static double stretched(double frequency, JsonNode scaling) {
        double turns =
                scaling.path("original_max_position_embeddings").asDouble()
                        * frequency
                        / (2 * Math.PI);
        double low = scaling.path("low_freq_factor").asDouble();
        double high = scaling.path("high_freq_factor").asDouble();
        double kept = Math.clamp((turns - low) / (high - low), 0, 1);
        return frequency * (kept + (1 - kept) / scaling.path("factor").asDouble());
    }

    private double[] norm(String name, double[] x) {
        double sum = 0;
        for (double value : x) {
            sum += value * value;
        }
        double root = Math.sqrt(sum / x.length + config.path("rms_norm_eps").asDouble());
        float[] scale = weights.get(name + ".weight");
        double[] result = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            result[i] = x[i] / root * scale[i];
        }
        return result;
    }

    private double[] linear(String name, double[] x) {
        float[] weight = weights.get(name + ".weight");
        float[] bias = weights.get(name + ".bias");
        double[] y = new double[weight.length / x.length];
        for (int n = 0; n < y.length; n++) {
            double sum = bias == null ? 0 : bias[n];
            for (int i = 0; i < x.length; i++) {
                sum += weight[n * x.length + i] * x[i];
            }
            y[n] = sum;
        }
        return y;
    }

    private double[] row(String name, int row, int width) {
        double[] result = new double[width];
        for (int i = 0; i < width; i++) {
            result[i] = weights.get(name)[row * width + i];
        }
        return result;
    }

    private static void add(double[] x, double[] y) {
        for (int i = 0; i < x.length; i++) {
            x[i] += y[i];
        }
    }
}
