package dev.lithe;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/// A model folder to damage: a well-formed one, and ways to change its files.
record ModelFolder(Path path) {
    static final String WEIGHTS = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";
    static final String EMBEDDING = "model.embed_tokens.weight";
    static final String Q_PROJ = "model.layers.0.self_attn.q_proj";

    private static final JsonMapper JSON = new JsonMapper();

    /// What the folder holds before it is damaged.
    enum Kind {
        /// One file, float32.
        SINGLE,
        /// Two files and an index.
        SHARDED,
        /// One file; the first query projection in 4 bits, groups of 32, with zero points.
        PACKED,
        /// One file; the first query projection in 8 bits per channel.
        INT8,
        /// One file; the first query projection as indices into a table of 16, with
        /// double-quantized scales per 16 inputs.
        CODEBOOK,
        /// One file; the first query projection in 8-bit floats per channel.
        FLOAT8
    }

    static ModelFolder write(Path path, Kind kind) throws IOException {
        TinyModel model = TinyModel.small();
        switch (kind) {
            case SINGLE -> model.write(path);
            case SHARDED -> model.shards(2).write(path);
            case PACKED -> model.write(path, packedConfig(model), packedTensors(model));
            case INT8 -> model.write(path, int8Config(model), int8Tensors(model));
            case CODEBOOK -> model.write(path, codebookConfig(model), codebookTensors(model));
            case FLOAT8 -> model.write(path, float8Config(model), float8Tensors(model));
        }
        return new ModelFolder(path);
    }

    private static ObjectNode packedConfig(TinyModel model) {
        ObjectNode config = model.config();
        ObjectNode quantization = config.putObject("quantization_config");
        quantization.put("quant_method", "compressed-tensors").put("format", "pack-quantized");
        quantization.putArray("ignore");
        ObjectNode group = quantization.putObject("config_groups").putObject("group_0");
        group.putArray("targets").add(Q_PROJ);
        group.putObject("weights")
                .put("num_bits", 4)
                .put("type", "int")
                .put("symmetric", false)
                .put("strategy", "group")
                .put("group_size", 32);
        return config;
    }

    private static Map<String, RawTensor> packedTensors(TinyModel model) {
        return replaceQuery(
                model,
                Map.of(
                        ".weight_packed", zeros("I32", 4, 32, 4),
                        ".weight_scale", zeros("F32", 4, 32, 1),
                        ".weight_zero_point", zeros("I32", 4, 4, 1),
                        ".weight_shape", zeros("I64", 8, 2)));
    }

    private static ObjectNode int8Config(TinyModel model) {
        ObjectNode config = packedConfig(model);
        ((ObjectNode) config.at("/quantization_config/config_groups/group_0/weights"))
                .put("num_bits", 8)
                .put("symmetric", true)
                .put("strategy", "channel")
                .putNull("group_size");
        return config;
    }

    private static Map<String, RawTensor> int8Tensors(TinyModel model) {
        return replaceQuery(
                model,
                Map.of(
                        ".weight", zeros("I8", 1, 32, 32),
                        ".weight_scale", zeros("F32", 4, 32, 1)));
    }

    private static ObjectNode codebookConfig(TinyModel model) {
        ObjectNode config = packedConfig(model);
        ((ObjectNode) config.at("/quantization_config")).put("format", "lithe-codebook");
        ((ObjectNode) config.at("/quantization_config/config_groups/group_0/weights"))
                .put("type", "codebook")
                .put("symmetric", true)
                .put("group_size", 16);
        return config;
    }

    private static Map<String, RawTensor> codebookTensors(TinyModel model) {
        return replaceQuery(
                model,
                Map.of(
                        ".weight_indices", zeros("I32", 4, 32, 4),
                        ".weight_table", zeros("F32", 4, 1, 16),
                        ".weight_scale", zeros("I8", 1, 32, 2),
                        ".weight_scale_block", zeros("F32", 4, 1),
                        ".weight_scale_mean", zeros("F32", 4, 1),
                        ".weight_shape", zeros("I64", 8, 2)));
    }

    private static ObjectNode float8Config(TinyModel model) {
        ObjectNode config = int8Config(model);
        ((ObjectNode) config.at("/quantization_config/config_groups/group_0/weights"))
                .put("type", "float");
        return config;
    }

    private static Map<String, RawTensor> float8Tensors(TinyModel model) {
        return replaceQuery(
                model,
                Map.of(
                        ".weight", zeros("F8_E4M3", 1, 32, 32),
                        ".weight_scale", zeros("F32", 4, 32, 1)));
    }

    private static Map<String, RawTensor> replaceQuery(
            TinyModel model, Map<String, RawTensor> parts) {
        Map<String, RawTensor> tensors = new LinkedHashMap<>(model.tensors());
        tensors.remove(Q_PROJ + ".weight");
        parts.forEach((suffix, tensor) -> tensors.put(Q_PROJ + suffix, tensor));
        return tensors;
    }

    static RawTensor zeros(String dtype, int width, long... shape) {
        long bytes = width;
        for (long size : shape) {
            bytes *= size;
        }
        List<Long> sizes = java.util.Arrays.stream(shape).boxed().toList();
        return new RawTensor(dtype, sizes, new byte[(int) bytes]);
    }

    Path file(String name) {
        return path.resolve(name);
    }

    void text(String name, String content) throws IOException {
        Files.write(file(name), content.getBytes(StandardCharsets.UTF_8));
    }

    void json(String name, Consumer<ObjectNode> change) throws IOException {
        ObjectNode node = (ObjectNode) JSON.readTree(Files.readAllBytes(file(name)));
        change.accept(node);
        text(name, node.toString());
    }

    void config(Consumer<ObjectNode> change) throws IOException {
        json("config.json", change);
    }

    void quantization(Consumer<ObjectNode> change) throws IOException {
        config(config -> change.accept((ObjectNode) config.path("quantization_config")));
    }

    void scheme(Consumer<ObjectNode> change) throws IOException {
        quantization(node -> change.accept((ObjectNode) node.at("/config_groups/group_0/weights")));
    }

    /// Rewrites the header of the only shard over the same data.
    void header(Consumer<ObjectNode> change) throws IOException {
        RawSafetensors old = RawSafetensors.read(file(WEIGHTS));
        ObjectNode header = old.json();
        change.accept(header);
        old.withHeader(header.toString()).write(file(WEIGHTS));
    }

    /// Changes the embedding's entry in the header.
    void embedding(Consumer<ObjectNode> change) throws IOException {
        header(header -> change.accept((ObjectNode) header.path(EMBEDDING)));
    }

    /// Replaces tensors and keeps the file well-formed.
    void tensors(Consumer<Map<String, RawTensor>> change) throws IOException {
        RawSafetensors old = RawSafetensors.read(file(WEIGHTS));
        Map<String, RawTensor> tensors = new LinkedHashMap<>();
        for (var field : old.json().properties()) {
            int begin = field.getValue().at("/data_offsets/0").asInt();
            int end = field.getValue().at("/data_offsets/1").asInt();
            List<Long> shape =
                    JSON.convertValue(
                            field.getValue().path("shape"),
                            JSON.getTypeFactory().constructCollectionType(List.class, Long.class));
            tensors.put(
                    field.getKey(),
                    new RawTensor(
                            field.getValue().path("dtype").asText(),
                            shape,
                            java.util.Arrays.copyOfRange(old.data(), begin, end)));
        }
        change.accept(tensors);
        RawSafetensors.of(tensors).write(file(WEIGHTS));
    }

    /// Gives one tensor another shape, filled with zeros.
    void reshape(String tensor, long... shape) throws IOException {
        tensors(all -> all.put(tensor, zeros(DType.F32.name(), 4, shape)));
    }

    static void offsets(ObjectNode entry, long begin, long end) {
        entry.putArray("data_offsets").add(begin).add(end);
    }

    static ArrayNode shape(ObjectNode entry) {
        return entry.putArray("shape");
    }
}
