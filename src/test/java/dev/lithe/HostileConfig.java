package dev.lithe;

import static dev.lithe.Damage.append;
import static dev.lithe.Damage.bytes;
import static dev.lithe.Damage.config;
import static dev.lithe.Damage.delete;
import static dev.lithe.Damage.linkToZeros;
import static dev.lithe.Damage.parse;
import static dev.lithe.Damage.remove;
import static dev.lithe.Damage.replaceByFolder;
import static dev.lithe.Damage.replaceByPipe;
import static dev.lithe.Damage.row;
import static dev.lithe.Damage.text;
import static dev.lithe.ModelFolder.EMBEDDING;
import static dev.lithe.ModelFolder.Q_PROJ;
import static dev.lithe.ModelFolder.WEIGHTS;

import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/// Folders, settings, tensors and tokenizers that do not fit together.
final class HostileConfig {
    private HostileConfig() {}

    static Stream<Arguments> folders() {
        return Stream.of(
                row("no config.json", delete("config.json"), "config.json"),
                row("no weights", delete(WEIGHTS), "holds neither"),
                row(
                        "pickled weights only",
                        folder -> {
                            delete(WEIGHTS).apply(folder);
                            folder.text("pytorch_model.bin", "pickle");
                        },
                        "pickle can run any code"),
                row("weights are a folder", replaceByFolder(WEIGHTS), WEIGHTS),
                row("config.json is a folder", replaceByFolder("config.json"), "config.json"),
                row("weights are a pipe", replaceByPipe(WEIGHTS), WEIGHTS),
                row("config.json is a pipe", replaceByPipe("config.json"), "config.json"),
                row("config.json without end", linkToZeros("config.json"), "config.json"),
                row("config.json is empty", text("config.json", ""), "config.json"),
                row("config.json is text", text("config.json", "layers: 2"), "no valid JSON"),
                row("config.json is an array", text("config.json", "[{}]"), "no JSON object"),
                row("config.json is deep", text("config.json", "[".repeat(100_000)), "nesting"),
                row("config.json followed by more", append("config.json", "}"), "no valid JSON"),
                row("config.json in bytes of no text", bytes("config.json"), "no valid JSON"));
    }

    static Stream<Arguments> tensors() {
        String k = "model.layers.1.self_attn.k_proj.weight";
        return Stream.of(
                row("no lm_head", remove("lm_head.weight"), "'lm_head.weight' is missing"),
                row("no norm", remove("model.norm.weight"), "'model.norm.weight' is missing"),
                row("no tensors at all", folder -> folder.tensors(Map::clear), "is missing"),
                row("embedding of another shape", shaped(EMBEDDING, 299, 32), "[299, 32]"),
                row("norm of another shape", shaped("model.norm.weight", 31), "[31]"),
                row("norm with a dimension more", shaped("model.norm.weight", 1, 32), "[1, 32]"),
                row("query of another shape", shaped(Q_PROJ + ".weight", 32, 16), "[32, 16]"),
                row("key as wide as the query", shaped(k, 32, 32), "k_proj.weight' has shape"),
                row("lm_head transposed", shaped("lm_head.weight", 32, 300), "[32, 300]"),
                row("norm of integers", typed("model.norm.weight", "I32", 32), "is I32"),
                row("weight of integers", typed(Q_PROJ + ".weight", "I32", 32, 32), "is I32"),
                row(
                        "bias that is missing",
                        config(node -> node.put("attention_bias", true)),
                        "q_proj.bias' is missing"),
                row(
                        "bias of integers",
                        folder -> {
                            config(node -> node.put("mlp_bias", true)).apply(folder);
                            folder.tensors(HostileConfig::integerBiases);
                        },
                        "is I32"),
                row(
                        "int8 weight without a scale",
                        typed(Q_PROJ + ".weight", "I8", 32, 32),
                        "scale"));
    }

    static Stream<Arguments> counts() {
        return Stream.of(
                setting("num_hidden_layers", "0"),
                setting("num_hidden_layers", "2147483648"),
                setting("num_hidden_layers", "16777216"),
                setting("hidden_size", "0"),
                setting("hidden_size", "-32"),
                setting("hidden_size", "32.5"),
                setting("hidden_size", "\"32\""),
                setting("hidden_size", "[32]"),
                setting("hidden_size", "true"),
                setting("hidden_size", "9".repeat(900)),
                setting("intermediate_size", "null"),
                setting("vocab_size", "0"),
                setting("vocab_size", "1e3"),
                setting("max_position_embeddings", "1000000000000"),
                setting("max_position_embeddings", "-1"),
                setting("num_attention_heads", "0"),
                row(
                        "heads that share unevenly",
                        config(node -> node.put("num_key_value_heads", 3)),
                        "4 attention heads cannot share 3"),
                row("odd head_dim", config(node -> node.put("head_dim", 7)), "head_dim 7 is odd"),
                row(
                        "heads whose width overflows to zero",
                        folder -> {
                            config(node ->
                                            node.put("num_attention_heads", 1 << 16)
                                                    .put("num_key_value_heads", 1 << 16)
                                                    .put("head_dim", 1 << 16))
                                    .apply(folder);
                            folder.tensors(HostileConfig::emptyAttention);
                        },
                        "65536"),
                setting("bos_token_id", "300"),
                setting("bos_token_id", "-1"),
                setting("eos_token_id", "[1, 300]"),
                setting("eos_token_id", "1.5"),
                setting("eos_token_id", "\"</s>\""));
    }

    static Stream<Arguments> settings() {
        return Stream.of(
                setting("rope_theta", "0"),
                setting("rope_theta", "-1"),
                setting("rope_theta", "\"10000\""),
                setting("rope_theta", "1e999"),
                row(
                        "rope_theta NaN",
                        folder ->
                                folder.text(
                                        "config.json",
                                        Files.readString(folder.file("config.json"))
                                                .replace("10000.0", "NaN")),
                        "NaN"),
                setting("rms_norm_eps", "-1e-5"),
                setting("tie_word_embeddings", "\"no\""),
                setting("attention_bias", "1"),
                setting("rope_scaling", "\"linear\""),
                setting("rope_scaling", "[8]"),
                scaling("{\"rope_type\": \"spiral\"}", "'spiral'"),
                scaling("{\"rope_type\": \"llama3\", \"factor\": 0}", "factor"),
                scaling(
                        "{\"rope_type\": \"llama3\", \"low_freq_factor\": 4, \"high_freq_factor\": 4}",
                        "high_freq_factor"),
                row(
                        "unknown architecture",
                        config(node -> node.putArray("architectures").add("MambaForCausalLM")),
                        "'MambaForCausalLM' is unknown; Lithe knows LlamaForCausalLM"),
                row(
                        "no architecture",
                        config(node -> node.remove(List.of("architectures", "model_type"))),
                        "LlamaForCausalLM"),
                setting("hidden_act", "\"relu\""),
                setting("torch_dtype", "\"float8\""));
    }

    static Stream<Arguments> tokenizers() {
        String file = "tokenizer.json";
        return Stream.of(
                row("no tokenizer.json", delete(file), file),
                row("tokenizer.json is empty", text(file, ""), file),
                row("tokenizer.json is text", text(file, "hello"), file),
                row("tokenizer.json is an array", text(file, "[]"), file),
                row("tokenizer.json of no model", text(file, "{\"version\": \"1.0\"}"), file),
                row("tokenizer.json is deep", text(file, "[".repeat(100_000)), file),
                row("tokenizer.json is a pipe", replaceByPipe(file), file),
                row("tokenizer.json in bytes of no text", bytes(file), file),
                row(
                        "tokenizer.json is cut",
                        folder ->
                                folder.text(
                                        file,
                                        Files.readString(folder.file(file)).substring(0, 2000)),
                        file));
    }

    /// Replaces one value of config.json by JSON text; the message must name the key.
    private static Arguments setting(String key, String json) {
        String shown = json.length() > 30 ? json.substring(0, 30) + "..." : json;
        return row(key + " " + shown, config(node -> node.set(key, parse(json))), key);
    }

    private static Arguments scaling(String json, String fragment) {
        return row(
                "rope_scaling " + json,
                config(node -> node.set("rope_scaling", parse(json))),
                fragment);
    }

    private static Damage shaped(String tensor, long... shape) {
        return folder -> folder.reshape(tensor, shape);
    }

    private static Damage typed(String tensor, String dtype, long... shape) {
        int width = dtype.equals("I8") ? 1 : 4;
        return folder ->
                folder.tensors(all -> all.put(tensor, ModelFolder.zeros(dtype, width, shape)));
    }

    private static void integerBiases(Map<String, RawTensor> all) {
        for (int layer = 0; layer < 2; layer++) {
            String mlp = "model.layers." + layer + ".mlp.";
            all.put(mlp + "gate_proj.bias", ModelFolder.zeros("I32", 4, 48));
            all.put(mlp + "up_proj.bias", ModelFolder.zeros("I32", 4, 48));
            all.put(mlp + "down_proj.bias", ModelFolder.zeros("I32", 4, 32));
        }
    }

    /// Attention weights of no rows, as a product that overflows to zero would ask for.
    private static void emptyAttention(Map<String, RawTensor> all) {
        for (int layer = 0; layer < 2; layer++) {
            String attention = "model.layers." + layer + ".self_attn.";
            for (String name : new String[] {"q_proj", "k_proj", "v_proj"}) {
                all.put(attention + name + ".weight", ModelFolder.zeros("F32", 4, 0, 32));
            }
            all.put(attention + "o_proj.weight", ModelFolder.zeros("F32", 4, 32, 0));
        }
    }
}
