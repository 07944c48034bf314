package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.GgufType;
import dev.lithe.checkpoint.GgufWriter;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.RopeScaling;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Stretched rotary positions in GGUF: how they are said there, and what is read of it.
class GgufStretchTest {
    private static final int HEAD = 16;
    private static final String LONG =
            """
            {"rope_type": "longrope", "short_factor": [1, 1, 1.5, 2, 2, 3, 4, 5], "long_factor": [],\
             "original_max_position_embeddings": 64}\
            """;

    @TempDir private Path temporary;

    private Path folder(String type, String scaling) throws IOException {
        Path folder =
                TinyModel.of(type).width(64, 96).heads(4, 2, HEAD).window(1000).write(temporary);
        var mapper = new JsonMapper();
        Path file = folder.resolve("config.json");
        ObjectNode config = (ObjectNode) mapper.readTree(file.toFile());
        config.set("rope_scaling", mapper.readTree(scaling));
        Files.writeString(file, config.toString());
        return folder;
    }

    private Path exported(Path folder) {
        Path file = temporary.resolve("model.gguf");
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            GgufExport.write(checkpoint, null, file);
        }
        return file;
    }

    private static @Nullable RopeScaling scaling(Path folder) {
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            return ModelSpec.of(checkpoint.config(), "config.json").ropeScaling();
        }
    }

    private static void same(@Nullable RopeScaling found, @Nullable RopeScaling expected) {
        assertThat(found).isNotNull();
        assertThat(expected).isNotNull();
        double[] plain = new double[HEAD / 2];
        Arrays.setAll(plain, pair -> Math.pow(10_000, -2.0 * pair / HEAD));
        double[] here = found.stretch(plain);
        double[] there = expected.stretch(plain);
        for (int i = 0; i < plain.length; i++) {
            assertThat(here[i] / there[i]).isCloseTo(1, within(1e-6));
        }
        assertThat(found.magnitude()).isCloseTo(expected.magnitude(), within(1e-6));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "llama | linear",
                "qwen3 | linear",
                "qwen2 | yarn",
                "llama | yarn",
                "llama | yarn, attention_factor: 1.3",
                "llama | yarn, beta_fast: 4",
                "llama | yarn, truncate: false, attention_factor: 0.9",
                "llama | llama3",
                "llama | longrope"
            })
    void itIsTheSameAfterwards(String type, String kind) throws IOException {
        String[] parts = kind.split(",", 2);
        String rest = parts.length == 1 ? "" : ", " + parts[1].replaceAll("(\\w+):", "\"$1\":");
        String scaling =
                kind.equals("longrope")
                        ? LONG
                        : "{\"rope_type\": \""
                                + parts[0]
                                + "\", \"factor\": 4.0,"
                                + " \"original_max_position_embeddings\": 64"
                                + rest
                                + "}";
        Path folder = folder(type, scaling);
        Path file = exported(folder);
        same(scaling(ModelSource.folder(file.toString())), scaling(folder));
        RawGguf first = RawGguf.read(file);
        Path second = exported(ModelSource.folder(file.toString()));
        assertThat(stretch(RawGguf.read(second))).isEqualTo(stretch(first));
    }

    private static Map<String, Object> stretch(RawGguf gguf) {
        Map<String, Object> found = new TreeMap<>(gguf.values());
        found.keySet().removeIf(key -> !key.contains(".rope."));
        RawGguf.Tensor divisors = gguf.tensors().get("rope_freqs.weight");
        if (divisors != null) {
            found.put("divisors", ByteBuffer.wrap(divisors.bytes()));
        }
        return found;
    }

    @Test
    void usualYarnIsNamedAndOthersAreWrittenPairByPair() throws IOException {
        String yarn = "{\"rope_type\": \"yarn\", \"factor\": 4.0, ";
        Path folder = folder("llama", yarn + "\"original_max_position_embeddings\": 64}");
        assertThat(RawGguf.read(exported(folder)).values())
                .containsEntry("llama.rope.scaling.type", "yarn")
                .containsEntry("llama.rope.scaling.factor", 4f)
                .containsEntry("llama.rope.scaling.original_context_length", 64)
                .doesNotContainKey("llama.rope.scaling.attn_factor");
        folder = folder("llama", yarn + "\"attention_factor\": 2.0}");
        float usual = (float) (1 + 0.1 * Math.log(4));
        assertThat(
                        (Float)
                                RawGguf.read(exported(folder))
                                        .values()
                                        .get("llama.rope.scaling.attn_factor"))
                .isCloseTo(2 / usual, within(1e-6f));
        folder = folder("llama", yarn + "\"beta_fast\": 4.0}");
        RawGguf gguf = RawGguf.read(exported(folder));
        assertThat(gguf.values()).doesNotContainKey("llama.rope.scaling.type");
        assertThat(gguf.tensors().get("rope_freqs.weight").numbers()[HEAD / 2 - 1]).isEqualTo(4f);
        assertThat((Float) gguf.values().get("llama.rope.scaling.attn_factor"))
                .isCloseTo(usual, within(1e-6f));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"rope_type\": \"llama3\", \"original_max_position_embeddings\": 64}",
                "{\"rope_type\": \"yarn\", \"factor\": 2, \"beta_slow\": 2}"
            })
    void whatLlamaCppCannotRunIsRefused(String scaling) throws IOException {
        Path folder = folder("qwen2", scaling);
        assertThatThrownBy(() -> exported(folder))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("llama.cpp's architecture 'qwen2' does not know");
        assertThat(temporary.resolve("model.gguf")).doesNotExist();
    }

    /// llama.cpp takes a factor without a type as linear, and 0 as 1.
    @Test
    void otherWaysToSayItAreRead() throws IOException {
        Path file = exported(folder("llama", "{\"rope_type\": \"default\"}"));
        same(read(file, Map.of("llama.rope.scaling.factor", 3f)), new RopeScaling.Linear(3));
        same(read(file, Map.of("llama.rope.scale_linear", 2f)), new RopeScaling.Linear(2));
        assertThat(read(file, Map.of("llama.rope.scaling.factor", 0f))).isNull();
        assertThat(
                        read(
                                file,
                                Map.of(
                                        "llama.rope.scaling.factor",
                                        3f,
                                        "llama.rope.scaling.type",
                                        "none")))
                .isNull();
        RopeScaling louder = read(file, Map.of("llama.rope.scaling.attn_factor", 1.5f));
        assertThat(louder).isNotNull();
        assertThat(louder.magnitude()).isEqualTo(1.5);
        assertThat(louder.stretch(new double[HEAD / 2])).containsOnly(0);
    }

    @ParameterizedTest
    @CsvSource({
        "factor,NaN,must be a number above 0",
        "factor,-1,must be a number above 0",
        "attn_factor,Infinity,must be a number above 0",
        "yarn_ext_factor,0.5,yarn_ext_factor is 0.5",
        "yarn_log_multiplier,0.1,yarn_log_multiplier is 0.1",
        "alpha,8,alpha is 8.0"
    })
    void whatMeansNothingIsRefused(String key, float value, String reason) throws IOException {
        Path file = exported(folder("llama", "{\"rope_type\": \"default\"}"));
        assertThatThrownBy(() -> read(file, Map.of("llama.rope.scaling." + key, value)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining(reason);
    }

    private @Nullable RopeScaling read(Path file, Map<String, Object> more) throws IOException {
        RawGguf gguf = RawGguf.read(file);
        gguf.values().putAll(more);
        var writer = new GgufWriter();
        gguf.values().forEach((key, value) -> RawGguf.put(writer, key, value));
        gguf.tensors()
                .forEach((name, tensor) ->
                        writer.tensor(
                                name,
                                GgufType.F32,
                                tensor.shape().stream().mapToLong(Long::longValue).toArray(),
                                channel -> channel.write(ByteBuffer.wrap(tensor.bytes()))));
        Path changed = temporary.resolve("changed" + more.hashCode() + ".gguf");
        writer.write(changed);
        return scaling(ModelSource.folder(changed.toString()));
    }
}
