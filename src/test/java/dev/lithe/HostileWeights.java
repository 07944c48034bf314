package dev.lithe;

import static dev.lithe.Damage.row;
import static dev.lithe.Damage.text;
import static dev.lithe.ModelFolder.EMBEDDING;
import static dev.lithe.ModelFolder.INDEX;
import static dev.lithe.ModelFolder.WEIGHTS;
import static dev.lithe.ModelFolder.offsets;
import static dev.lithe.ModelFolder.shape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.ModelFolder.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.Arguments;

/// Safetensors files and shard indexes that are not what they say.
final class HostileWeights {
    private HostileWeights() {}

    static Stream<Arguments> lengths() {
        return Stream.of(
                row("empty file", folder -> folder.text(WEIGHTS, ""), "0 bytes long"),
                row("seven bytes", folder -> folder.text(WEIGHTS, "1234567"), "7 bytes long"),
                row("file cut inside the header", cutTo(200), "truncated"),
                row("file cut inside the data", cutTo(50_000), "truncated"),
                row("header length zero", headerLength(0), "header length 0"),
                row("header length past the file", headerLength(1 << 30), "1073741824"),
                row("header length -1", headerLength(-1), "18446744073709551615"),
                row("header length 2^63", headerLength(Long.MIN_VALUE), "9223372036854775808"),
                row("bytes after the last tensor", HostileWeights::trailing, "16 bytes after"));
    }

    static Stream<Arguments> headers() {
        return Stream.of(
                row("header is text", rawHeader("hello, world"), "no valid JSON"),
                row("header is an array", rawHeader("[1, 2]"), "no JSON object"),
                row("header is a number", rawHeader("12"), "no JSON object"),
                row("header is blank", rawHeader("        "), "no JSON object"),
                row("header is cut JSON", rawHeader("{\"a\": {\"dtype\": "), "no valid JSON"),
                row("header followed by more", rawHeader("{} {}"), "no valid JSON"),
                row("header of 100,000 brackets", rawHeader("[".repeat(100_000)), "nesting depth"),
                row("nested 100,000 deep", rawHeader("{\"a\":".repeat(100_000)), "nesting depth"),
                row(
                        "number of 100,000 digits",
                        rawHeader("{\"a\":" + "9".repeat(100_000) + "}"),
                        "no valid JSON"),
                row(
                        "a name twice",
                        rawHeader("{" + entry(0, 4) + ", " + entry(4, 8) + "}"),
                        "Duplicate field 'a'"),
                row("entry is a number", rawHeader("{\"a\": 3}"), "tensor 'a'"),
                row(
                        "a name of two lines",
                        rawHeader("{\"a\\nb\": {\"dtype\": \"F32\"}}"),
                        "has no shape"),
                row(
                        "a name of 100,000 letters",
                        rawHeader("{\"" + "a".repeat(100_000) + "\": {\"dtype\": \"F32\"}}"),
                        "Name length"));
    }

    static Stream<Arguments> entries() {
        return Stream.of(
                embedding("no dtype", node -> node.remove("dtype"), "dtype ''"),
                embedding("unknown dtype", node -> node.put("dtype", "F8_E5M2"), "'F8_E5M2'"),
                embedding("dtype is a number", node -> node.put("dtype", 5), "dtype '5'"),
                embedding("no shape", node -> node.remove("shape"), "has no shape"),
                embedding("shape is text", node -> node.put("shape", "300x32"), "has no shape"),
                embedding("negative size", node -> shape(node).add(-300).add(-32), "[-300,-32]"),
                embedding("size with a point", node -> shape(node).add(300.5).add(32), "300.5"),
                embedding("size as text", node -> shape(node).add("300").add(32), "\"300\""),
                embedding(
                        "sizes whose product overflows",
                        node -> shape(node).add(1L << 62).add(1L << 62),
                        "too large"),
                embedding(
                        "overflow hidden by a zero",
                        node -> shape(node).add(1L << 62).add(1L << 62).add(0),
                        "too large"),
                embedding(
                        "shape and bytes disagree",
                        node -> shape(node).add(299).add(32),
                        "takes 38272 bytes"),
                embedding(
                        "ten thousand dimensions",
                        node -> {
                            var sizes = shape(node);
                            for (int i = 0; i < 10_000; i++) {
                                sizes.add(1);
                            }
                        },
                        EMBEDDING),
                embedding("no offsets", node -> node.remove("data_offsets"), "data_offsets"),
                embedding(
                        "one offset", node -> node.putArray("data_offsets").add(0), "data_offsets"),
                embedding(
                        "offsets as text",
                        node -> node.putArray("data_offsets").add("0").add("38400"),
                        "data_offsets"),
                embedding("offsets reversed", node -> offsets(node, 38_400, 0), "38400 to 0"),
                embedding("negative offset", node -> offsets(node, -4, 38_396), "-4 to 38396"),
                embedding(
                        "offsets past the file",
                        node -> offsets(node, 1L << 40, (1L << 40) + 38_400),
                        "1099511627776"),
                embedding("overlap", node -> offsets(node, 4, 38_404), "starts at byte 4"),
                row(
                        "gap",
                        folder -> folder.header(header -> header.remove("model.norm.weight")),
                        "gap"));
    }

    static Stream<Arguments> shards() {
        return Stream.of(
                index("shard outside the folder", "../model.safetensors", "'../model.safetensors'"),
                index("shard by absolute path", "/etc/x.safetensors", "'/etc/x.safetensors'"),
                index("shard in a nested folder", "a/b.safetensors", "'a/b.safetensors'"),
                index("shard that is a pickle", "pytorch_model.bin", "'pytorch_model.bin'"),
                index("shard that is absent", "model-9.safetensors", "model-9.safetensors"),
                row("no weight_map", Kind.SHARDED, text(INDEX, "{}"), "no weight_map"),
                row("empty index", Kind.SHARDED, text(INDEX, ""), INDEX),
                row("index is an array", Kind.SHARDED, text(INDEX, "[]"), "no JSON object"),
                row(
                        "shard as a number",
                        Kind.SHARDED,
                        folder -> folder.json(INDEX, node -> map(node).put(EMBEDDING, 7)),
                        "points to '7'"),
                row(
                        "tensor that its shard lacks",
                        Kind.SHARDED,
                        folder ->
                                folder.json(
                                        INDEX,
                                        node ->
                                                map(node)
                                                        .put(
                                                                "ghost",
                                                                map(node)
                                                                        .path(EMBEDDING)
                                                                        .asText())),
                        "tensor 'ghost' is not in shard"),
                row(
                        "a tensor in two shards",
                        Kind.SHARDED,
                        folder ->
                                Files.copy(
                                        folder.file("model-00001-of-00002.safetensors"),
                                        folder.file("model-00002-of-00002.safetensors"),
                                        StandardCopyOption.REPLACE_EXISTING),
                        "is in both"));
    }

    private static Damage cutTo(int bytes) {
        return folder -> {
            byte[] all = Files.readAllBytes(folder.file(WEIGHTS));
            Files.write(folder.file(WEIGHTS), Arrays.copyOf(all, bytes));
        };
    }

    private static void trailing(ModelFolder folder) throws IOException {
        RawSafetensors file = RawSafetensors.read(folder.file(WEIGHTS));
        file.withData(Arrays.copyOf(file.data(), file.data().length + 16))
                .write(folder.file(WEIGHTS));
    }

    private static Damage headerLength(long length) {
        return folder ->
                RawSafetensors.read(folder.file(WEIGHTS)).write(folder.file(WEIGHTS), length);
    }

    private static Damage rawHeader(String header) {
        return folder ->
                RawSafetensors.read(folder.file(WEIGHTS))
                        .withHeader(header)
                        .write(folder.file(WEIGHTS));
    }

    private static String entry(int begin, int end) {
        return "\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [%d, %d]}"
                .formatted(begin, end);
    }

    private static Arguments embedding(String name, Consumer<ObjectNode> change, String fragment) {
        return row(name, folder -> folder.embedding(change), fragment);
    }

    private static Arguments index(String name, String shard, String fragment) {
        return row(
                name,
                Kind.SHARDED,
                folder -> folder.json(INDEX, node -> map(node).put(EMBEDDING, shard)),
                fragment);
    }

    private static ObjectNode map(ObjectNode index) {
        return (ObjectNode) index.path("weight_map");
    }
}
