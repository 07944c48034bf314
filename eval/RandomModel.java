import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// Writes a Llama-shaped Hugging Face folder of any size with random weights, for measuring time
/// and memory where no real model of that size is at hand:
///
///     java eval/RandomModel.java FOLDER --preset 1.2b
///     java eval/RandomModel.java FOLDER --hidden 768 --intermediate 2048 --layers 12 --heads 12 ...
///
/// A matrix of K inputs is drawn from a normal distribution with deviation 1/sqrt(K), norms are 1,
/// so activations keep their size from block to block. Weights are streamed: memory does not grow
/// with the model. The tokenizer comes from `--tokenizer` (default: that of the demo) and may know
/// fewer tokens than the model has. The same flags give the same bytes.
public final class RandomModel {
    private static final String USAGE =
            """
            usage: java eval/RandomModel.java FOLDER [--preset 110m|1.2b] [--hidden N] [--intermediate N]
                   [--layers N] [--heads N] [--kv-heads N] [--vocab N] [--positions N] [--tied true|false]
                   [--dtype float16|bfloat16] [--shards N] [--seed N] [--tokenizer FOLDER]
            """;

    private static final Map<String, Map<String, String>> PRESETS =
            Map.of(
                    "110m",
                    Map.of(
                            "hidden", "768", "intermediate", "2048", "layers", "12",
                            "heads", "12", "kv-heads", "12", "vocab", "32000"),
                    "1.2b", // the shape of Llama 3.2 1B
                    Map.of(
                            "hidden", "2048", "intermediate", "8192", "layers", "16",
                            "heads", "32", "kv-heads", "8", "vocab", "128256", "shards", "2"));

    private static final Map<String, String> DEFAULTS =
            Map.ofEntries(
                    Map.entry("hidden", "256"),
                    Map.entry("intermediate", "768"),
                    Map.entry("layers", "4"),
                    Map.entry("heads", "8"),
                    Map.entry("kv-heads", "8"),
                    Map.entry("vocab", "4096"),
                    Map.entry("positions", "2048"),
                    Map.entry("tied", "true"),
                    Map.entry("dtype", "float16"),
                    Map.entry("shards", "1"),
                    Map.entry("seed", "0"),
                    Map.entry("tokenizer", "src/main/resources/demo"));

    private static final List<String> TOKENIZER_FILES =
            List.of(
                    "tokenizer.json",
                    "tokenizer_config.json",
                    "special_tokens_map.json",
                    "generation_config.json");

    private static final int CHUNK = 1 << 16;

    private final Path folder;
    private final Map<String, String> flags;

    /// A tensor to come; one dimension means a norm.
    private record Tensor(String name, long... shape) {
        long elements() {
            long product = 1;
            for (long size : shape) {
                product *= size;
            }
            return product;
        }
    }

    private RandomModel(Path folder, Map<String, String> flags) {
        this.folder = folder;
        this.flags = flags;
    }

    /// Parses the flags and writes the folder; 2 is the exit code of bad usage.
    public static void main(String[] arguments) throws IOException {
        try {
            if (arguments.length == 0 || arguments[0].startsWith("--")) {
                throw new IllegalArgumentException("name a folder first");
            }
            new RandomModel(Path.of(arguments[0]), flags(arguments)).write();
        } catch (IllegalArgumentException e) {
            System.err.print(e.getMessage() + "\n" + USAGE);
            System.exit(2);
        }
    }

    private static Map<String, String> flags(String[] arguments) {
        Map<String, String> given = new TreeMap<>();
        for (int i = 1; i < arguments.length; i += 2) {
            String flag = arguments[i].replaceFirst("^--", "");
            if (i + 1 == arguments.length || !flag.equals("preset") && !DEFAULTS.containsKey(flag)) {
                throw new IllegalArgumentException(
                        arguments[i] + " is no flag, or has no value after it");
            }
            given.put(flag, arguments[i + 1]);
        }
        Map<String, String> flags = new TreeMap<>(DEFAULTS);
        if (given.containsKey("preset")) {
            Map<String, String> preset = PRESETS.get(given.remove("preset"));
            if (preset == null) {
                throw new IllegalArgumentException("presets are " + PRESETS.keySet());
            }
            flags.putAll(preset);
        }
        flags.putAll(given);
        return flags;
    }

    private int number(String flag) {
        int value = Integer.parseInt(flags.get(flag));
        if (value < 1 && !flag.equals("seed")) {
            throw new IllegalArgumentException("--" + flag + " is " + value + ", choose 1 or more");
        }
        return value;
    }

    private boolean bfloat16() {
        return switch (flags.get("dtype")) {
            case "float16" -> false;
            case "bfloat16" -> true;
            case String other -> throw new IllegalArgumentException("--dtype " + other);
        };
    }

    private void write() throws IOException {
        if (number("hidden") % number("heads") != 0 || number("heads") % number("kv-heads") != 0) {
            throw new IllegalArgumentException("kv-heads divides heads, and heads divides hidden");
        }
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("config.json"), config());
        Path tokenizer = Path.of(flags.get("tokenizer"));
        for (String file : TOKENIZER_FILES) {
            if (Files.exists(tokenizer.resolve(file))) {
                Files.copy(
                        tokenizer.resolve(file),
                        folder.resolve(file),
                        StandardCopyOption.REPLACE_EXISTING);
            }
        }
        List<List<Tensor>> shards = shards();
        var index = new ArrayList<String>();
        for (int i = 0; i < shards.size(); i++) {
            String file =
                    shards.size() == 1
                            ? "model.safetensors"
                            : String.format("model-%05d-of-%05d.safetensors", i + 1, shards.size());
            writeShard(folder.resolve(file), shards.get(i));
            shards.get(i).forEach(tensor -> index.add(quote(tensor.name()) + ": " + quote(file)));
        }
        if (shards.size() > 1) {
            Files.writeString(
                    folder.resolve("model.safetensors.index.json"),
                    "{\"metadata\": {\"total_size\": %d}, \"weight_map\": {\n%s\n}}\n"
                            .formatted(2 * parameters(), String.join(",\n", index)));
        }
        System.out.printf("%s: %,d parameters in %d files%n", folder, parameters(), shards.size());
    }

    private String config() {
        return """
        {
          "architectures": ["LlamaForCausalLM"],
          "model_type": "llama",
          "hidden_size": %d,
          "intermediate_size": %d,
          "num_hidden_layers": %d,
          "num_attention_heads": %d,
          "num_key_value_heads": %d,
          "head_dim": %d,
          "vocab_size": %d,
          "max_position_embeddings": %d,
          "tie_word_embeddings": %s,
          "torch_dtype": "%s",
          "hidden_act": "silu",
          "rms_norm_eps": 1e-05,
          "rope_theta": 10000.0,
          "attention_bias": false,
          "mlp_bias": false,
          "bos_token_id": 0,
          "eos_token_id": 1
        }
        """
                .formatted(
                        number("hidden"),
                        number("intermediate"),
                        number("layers"),
                        number("heads"),
                        number("kv-heads"),
                        number("hidden") / number("heads"),
                        number("vocab"),
                        number("positions"),
                        tied(),
                        bfloat16() ? "bfloat16" : "float16");
    }

    private boolean tied() {
        return Boolean.parseBoolean(flags.get("tied"));
    }

    private List<Tensor> tensors() {
        int hidden = number("hidden");
        int intermediate = number("intermediate");
        int keys = hidden / number("heads") * number("kv-heads");
        List<Tensor> tensors = new ArrayList<>();
        tensors.add(new Tensor("model.embed_tokens.weight", number("vocab"), hidden));
        for (int layer = 0; layer < number("layers"); layer++) {
            String name = "model.layers." + layer + ".";
            tensors.add(new Tensor(name + "input_layernorm.weight", hidden));
            tensors.add(new Tensor(name + "self_attn.q_proj.weight", hidden, hidden));
            tensors.add(new Tensor(name + "self_attn.k_proj.weight", keys, hidden));
            tensors.add(new Tensor(name + "self_attn.v_proj.weight", keys, hidden));
            tensors.add(new Tensor(name + "self_attn.o_proj.weight", hidden, hidden));
            tensors.add(new Tensor(name + "post_attention_layernorm.weight", hidden));
            tensors.add(new Tensor(name + "mlp.gate_proj.weight", intermediate, hidden));
            tensors.add(new Tensor(name + "mlp.up_proj.weight", intermediate, hidden));
            tensors.add(new Tensor(name + "mlp.down_proj.weight", hidden, intermediate));
        }
        tensors.add(new Tensor("model.norm.weight", hidden));
        if (!tied()) {
            tensors.add(new Tensor("lm_head.weight", number("vocab"), hidden));
        }
        return tensors;
    }

    private long parameters() {
        return tensors().stream().mapToLong(Tensor::elements).sum();
    }

    /// The tensors in their order, cut where a shard has its share of the bytes.
    private List<List<Tensor>> shards() {
        int count = number("shards");
        long total = parameters();
        List<List<Tensor>> shards = new ArrayList<>(List.of(new ArrayList<>()));
        long elements = 0;
        for (Tensor tensor : tensors()) {
            if (elements * count >= total * shards.size() && shards.size() < count) {
                shards.add(new ArrayList<>());
            }
            shards.getLast().add(tensor);
            elements += tensor.elements();
        }
        return shards;
    }

    private void writeShard(Path file, List<Tensor> shard) throws IOException {
        var header = new ArrayList<>(List.of("\"__metadata__\":{\"format\":\"pt\"}"));
        long offset = 0;
        for (Tensor tensor : shard) {
            String shape =
                    Arrays.stream(tensor.shape())
                            .mapToObj(Long::toString)
                            .collect(Collectors.joining(","));
            header.add(
                    "%s:{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%d,%d]}"
                            .formatted(
                                    quote(tensor.name()),
                                    bfloat16() ? "BF16" : "F16",
                                    shape,
                                    offset,
                                    offset + 2 * tensor.elements()));
            offset += 2 * tensor.elements();
        }
        String json = "{" + String.join(",", header) + "}";
        byte[] padded = (json + " ".repeat(-json.length() & 7)).getBytes(StandardCharsets.UTF_8);
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file))) {
            out.write(
                    ByteBuffer.allocate(8)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .putLong(padded.length)
                            .array());
            out.write(padded);
            for (Tensor tensor : shard) {
                writeTensor(tensor, out);
            }
        }
    }

    private void writeTensor(Tensor tensor, OutputStream out) throws IOException {
        var random = new SplittableRandom(Long.parseLong(flags.get("seed")) * 31 + tensor.name().hashCode());
        boolean norm = tensor.shape().length == 1;
        double deviation = 1 / Math.sqrt(tensor.shape()[tensor.shape().length - 1]);
        boolean bfloat16 = bfloat16();
        ByteBuffer buffer = ByteBuffer.allocate(2 * CHUNK).order(ByteOrder.LITTLE_ENDIAN);
        for (long left = tensor.elements(); left > 0; left -= buffer.position() / 2) {
            buffer.clear();
            for (long i = Math.min(left, CHUNK); i > 0; i--) {
                float value = norm ? 1 : (float) (deviation * random.nextGaussian());
                buffer.putShort(bfloat16 ? bfloat16(value) : Float.floatToFloat16(value));
            }
            out.write(buffer.array(), 0, buffer.position());
        }
    }

    /// The upper half of a float32, rounded to nearest even.
    private static short bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    private static String quote(String text) {
        return '"' + text + '"';
    }
}
