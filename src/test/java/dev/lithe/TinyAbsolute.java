package dev.lithe;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.tensor.DType;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/// The configuration and the tensors of a tiny GPT-2 or OPT, under the names and in the shapes that
/// transformers gives them.
record TinyAbsolute(
        String type,
        int vocab,
        int hidden,
        int intermediate,
        int layers,
        int positions,
        DType dtype) {
    private static final int OPT_OFFSET = 2;

    boolean gpt2() {
        return type.equals("gpt2");
    }

    void describe(ObjectNode config, int heads, boolean tied) {
        if (gpt2()) {
            config.put("n_embd", hidden)
                    .put("n_inner", intermediate)
                    .put("n_layer", layers)
                    .put("n_head", heads)
                    .put("n_positions", positions)
                    .put("layer_norm_epsilon", 1e-5)
                    .put("activation_function", "gelu_new");
        } else {
            config.put("hidden_size", hidden)
                    .put("ffn_dim", intermediate)
                    .put("num_hidden_layers", layers)
                    .put("num_attention_heads", heads)
                    .put("max_position_embeddings", positions)
                    .put("word_embed_proj_dim", hidden)
                    .put("do_layer_norm_before", true)
                    .put("activation_function", "relu");
        }
        config.put("tie_word_embeddings", tied);
    }

    Map<String, RawTensor> tensors(Random random, boolean tied) {
        Map<String, RawTensor> tensors = new LinkedHashMap<>();
        String model = gpt2() ? "transformer." : "model.decoder.";
        tensors.put(model + (gpt2() ? "wte" : "embed_tokens") + ".weight", matrix(random, vocab));
        tensors.put(
                model + (gpt2() ? "wpe" : "embed_positions") + ".weight",
                matrix(random, positions + (gpt2() ? 0 : OPT_OFFSET)));
        for (int layer = 0; layer < layers; layer++) {
            String name = model + (gpt2() ? "h." : "layers.") + layer + ".";
            norm(tensors, random, name + (gpt2() ? "ln_1" : "self_attn_layer_norm"));
            if (gpt2()) {
                linear(tensors, random, name + "attn.c_attn", 3 * hidden, hidden);
                linear(tensors, random, name + "attn.c_proj", hidden, hidden);
            } else {
                for (String part : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
                    linear(tensors, random, name + "self_attn." + part, hidden, hidden);
                }
            }
            norm(tensors, random, name + (gpt2() ? "ln_2" : "final_layer_norm"));
            linear(tensors, random, name + (gpt2() ? "mlp.c_fc" : "fc1"), intermediate, hidden);
            linear(tensors, random, name + (gpt2() ? "mlp.c_proj" : "fc2"), hidden, intermediate);
        }
        norm(tensors, random, model + (gpt2() ? "ln_f" : "final_layer_norm"));
        if (!tied) {
            tensors.put("lm_head.weight", matrix(random, vocab));
        }
        return tensors;
    }

    private RawTensor matrix(Random random, int rows) {
        double deviation = 1.5 / Math.sqrt(hidden);
        return tensor(TinyModel.normal(random, rows * hidden, deviation), rows, hidden);
    }

    /// GPT-2 stores weights with a row per input.
    private void linear(Map<String, RawTensor> tensors, Random random, String name, int n, int k) {
        float[] weight = TinyModel.normal(random, n * k, 1.5 / Math.sqrt(k));
        tensors.put(name + ".weight", gpt2() ? tensor(weight, k, n) : tensor(weight, n, k));
        tensors.put(name + ".bias", tensor(TinyModel.normal(random, n, 0.3), n));
    }

    private void norm(Map<String, RawTensor> tensors, Random random, String name) {
        float[] scale = TinyModel.normal(random, hidden, 0.2);
        for (int i = 0; i < scale.length; i++) {
            scale[i] += 1;
        }
        tensors.put(name + ".weight", tensor(scale, hidden));
        tensors.put(name + ".bias", tensor(TinyModel.normal(random, hidden, 0.2), hidden));
    }

    private RawTensor tensor(float[] values, long... shape) {
        return RawTensor.of(dtype, values, shape);
    }
}
