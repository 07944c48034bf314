package dev.lithe.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lithe.RawTensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/// The forward pass of GPT-2 and OPT in loops over doubles, straight from config.json and the
/// tensors. It shares no code with the program.
final class NaiveAbsolute implements Naive {
    private static final double EPSILON = 1e-5;

    private final Map<String, float[]> weights = new HashMap<>();
    private final boolean gpt2;
    private final int hidden;
    private final int heads;
    private final int layers;
    private final boolean tied;

    NaiveAbsolute(JsonNode config, Map<String, RawTensor> tensors) {
        tensors.forEach((name, tensor) -> weights.put(name, tensor.floats()));
        this.gpt2 = config.path("model_type").asText().equals("gpt2");
        this.hidden = config.path(gpt2 ? "n_embd" : "hidden_size").asInt();
        this.heads = config.path(gpt2 ? "n_head" : "num_attention_heads").asInt();
        this.layers = config.path(gpt2 ? "n_layer" : "num_hidden_layers").asInt();
        this.tied = config.path("tie_word_embeddings").asBoolean();
    }

    @Override
    public double[][] logits(int... ids) {
        String tokens = gpt2 ? "transformer.wte" : "model.decoder.embed_tokens";
        String positions = gpt2 ? "transformer.wpe" : "model.decoder.embed_positions";
        double[][] x = new double[ids.length][];
        for (int t = 0; t < ids.length; t++) {
            x[t] = sum(row(tokens, ids[t]), row(positions, gpt2 ? t : t + 2));
        }
        for (int layer = 0; layer < layers; layer++) {
            block(x, gpt2 ? "transformer.h." + layer + "." : "model.decoder.layers." + layer + ".");
        }
        float[] output = weights.get((tied ? tokens : "lm_head") + ".weight");
        double[][] logits = new double[ids.length][output.length / hidden];
        for (int t = 0; t < ids.length; t++) {
            double[] last =
                    norm(gpt2 ? "transformer.ln_f" : "model.decoder.final_layer_norm", x[t]);
            for (int n = 0; n < logits[t].length; n++) {
                for (int i = 0; i < hidden; i++) {
                    logits[t][n] += output[n * hidden + i] * last[i];
                }
            }
        }
        return logits;
    }

    private void block(double[][] x, String name) {
        double[][] q = new double[x.length][];
        double[][] k = new double[x.length][];
        double[][] v = new double[x.length][];
        for (int t = 0; t < x.length; t++) {
            double[] y = norm(name + (gpt2 ? "ln_1" : "self_attn_layer_norm"), x[t]);
            if (gpt2) {
                double[] all = linear(name + "attn.c_attn", y);
                q[t] = Arrays.copyOfRange(all, 0, hidden);
                k[t] = Arrays.copyOfRange(all, hidden, 2 * hidden);
                v[t] = Arrays.copyOfRange(all, 2 * hidden, 3 * hidden);
            } else {
                q[t] = linear(name + "self_attn.q_proj", y);
                k[t] = linear(name + "self_attn.k_proj", y);
                v[t] = linear(name + "self_attn.v_proj", y);
            }
        }
        for (int t = 0; t < x.length; t++) {
            String out = name + (gpt2 ? "attn.c_proj" : "self_attn.out_proj");
            x[t] = sum(x[t], linear(out, attend(q[t], k, v, t)));
            double[] y = norm(name + (gpt2 ? "ln_2" : "final_layer_norm"), x[t]);
            double[] inner = linear(name + (gpt2 ? "mlp.c_fc" : "fc1"), y);
            inner = Arrays.stream(inner).map(this::activation).toArray();
            x[t] = sum(x[t], linear(name + (gpt2 ? "mlp.c_proj" : "fc2"), inner));
        }
    }

    private double activation(double z) {
        return gpt2
                ? 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z * z * z)))
                : Math.max(z, 0);
    }

    private double[] attend(double[] q, double[][] k, double[][] v, int position) {
        int width = hidden / heads;
        double[] result = new double[hidden];
        for (int head = 0; head < heads; head++) {
            double[] weight = new double[position + 1];
            double total = 0;
            for (int s = 0; s <= position; s++) {
                double dot = 0;
                for (int i = head * width; i < (head + 1) * width; i++) {
                    dot += q[i] * k[s][i];
                }
                weight[s] = Math.exp(dot / Math.sqrt(width));
                total += weight[s];
            }
            for (int s = 0; s <= position; s++) {
                for (int i = head * width; i < (head + 1) * width; i++) {
                    result[i] += weight[s] / total * v[s][i];
                }
            }
        }
        return result;
    }

    private double[] norm(String name, double[] x) {
        double mean = Arrays.stream(x).average().orElseThrow();
        double variance =
                Arrays.stream(x).map(each -> (each - mean) * (each - mean)).average().orElseThrow();
        float[] scale = weights.get(name + ".weight");
        float[] bias = weights.get(name + ".bias");
        double[] result = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            result[i] = (x[i] - mean) / Math.sqrt(variance + EPSILON) * scale[i] + bias[i];
        }
        return result;
    }

    private double[] linear(String name, double[] x) {
        float[] weight = weights.get(name + ".weight");
        float[] bias = weights.get(name + ".bias");
        double[] y = new double[bias.length];
        for (int n = 0; n < y.length; n++) {
            y[n] = bias[n];
            for (int i = 0; i < x.length; i++) {
                y[n] += weight[gpt2 ? i * y.length + n : n * x.length + i] * x[i];
            }
        }
        return y;
    }

    private double[] row(String module, int row) {
        float[] table = weights.get(module + ".weight");
        double[] result = new double[hidden];
        for (int i = 0; i < hidden; i++) {
            result[i] = table[row * hidden + i];
        }
        return result;
    }

    private static double[] sum(double[] a, double[] b) {
        double[] result = new double[a.length];
        for (int i = 0; i < a.length; i++) {
            result[i] = a[i] + b[i];
        }
        return result;
    }
}
