package dev.lithe.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawSafetensors;
import dev.lithe.TinyModel;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What the writer puts on disk, checked by the reader and byte by byte.
class CheckpointWriterTest {
    private static final JsonMapper JSON = new JsonMapper();
    private static final List<List<Long>> SHAPES =
            List.of(List.of(), List.of(0L, 3L), List.of(1L), List.of(3L, 5L), List.of(2L, 3L, 7L));

    @TempDir private Path temporary;

    @Test
    void everyTypeAndShapeComesBackBitForBit() throws Exception {
        Map<String, byte[]> written = new HashMap<>();
        Path folder = write(temporary.resolve("model"), CheckpointWriter.MAX_SHARD_BYTES, written);
        RawSafetensors raw = RawSafetensors.read(folder.resolve(Checkpoint.SINGLE));
        assertThat(raw.json().size()).isEqualTo(1 + written.size());
        try (var checkpoint = Checkpoint.open(folder);
                var scope = TensorScope.open()) {
            written.forEach((name, bytes) -> {
                Value tensor = checkpoint.load(name, scope);
                assertThat(name).isEqualTo(tensor.dtype().name() + shape(tensor));
                assertThat(bytes(tensor)).as(name).isEqualTo(bytes);
            });
        }
        for (String name : written.keySet()) {
            JsonNode offsets = raw.json().path(name).path("data_offsets");
            assertThat(
                            Arrays.copyOfRange(
                                    raw.data(), offsets.get(0).asInt(), offsets.get(1).asInt()))
                    .as(name)
                    .isEqualTo(written.get(name));
        }
    }

    @Test
    void headersArePaddedAndTensorsAligned() throws Exception {
        Path folder = write(temporary.resolve("model"), 700, new HashMap<>());
        try (var checkpoint = Checkpoint.open(folder)) {
            for (TensorEntry entry : checkpoint.entries().values()) {
                assertThat(entry.offset() % entry.dtype().bytes()).as(entry.name()).isZero();
                assertThat(RawSafetensors.read(entry.file()).header().length % 8).isZero();
            }
        }
    }

    @Test
    void shardsStayWithinTheirLimitAndTheIndexNamesAll() throws Exception {
        Map<String, byte[]> written = new HashMap<>();
        Path folder = write(temporary.resolve("model"), 700, written);
        assertThat(folder.resolve(Checkpoint.SINGLE)).doesNotExist();
        JsonNode index = JSON.readTree(folder.resolve(Checkpoint.INDEX).toFile());
        long total = written.values().stream().mapToLong(bytes -> bytes.length).sum();
        assertThat(index.at("/metadata/total_size").asLong()).isEqualTo(total);
        assertThat(index.path("weight_map").size()).isEqualTo(written.size());
        try (var checkpoint = Checkpoint.open(folder);
                var scope = TensorScope.open()) {
            Map<Path, Long> sizes = new HashMap<>();
            for (TensorEntry entry : checkpoint.entries().values()) {
                sizes.merge(entry.file(), entry.bytes(), Long::sum);
                assertThat(bytes(checkpoint.load(entry.name(), scope)))
                        .isEqualTo(written.get(entry.name()));
            }
            assertThat(sizes.size()).isGreaterThan(2);
            assertThat(sizes.values()).allMatch(bytes -> bytes <= 700);
        }
    }

    @Test
    void aTensorLargerThanAShardGetsOneOfItsOwn() throws Exception {
        Path target = temporary.resolve("model");
        try (var writer = CheckpointWriter.open(target, false, null, 10)) {
            for (String name : List.of("a", "b", "c")) {
                writer.write(
                        name,
                        DType.U8,
                        List.of(20L),
                        List.of(spool -> spool.write(ByteBuffer.allocate(20))));
            }
            writer.finish(JSON.createObjectNode());
        }
        try (var checkpoint = Checkpoint.open(withConfig(target))) {
            assertThat(checkpoint.entries().values()).extracting(TensorEntry::file).hasSize(3);
        }
    }

    @Test
    void litheJsonHoldsTheHashOfEveryOtherFile() throws Exception {
        Path folder = write(temporary.resolve("model"), 700, new HashMap<>());
        JsonNode files = JSON.readTree(folder.resolve("lithe.json").toFile()).path("files");
        try (var listed = Files.list(folder)) {
            List<String> names = listed.map(file -> file.getFileName().toString()).toList();
            assertThat(files.size()).isEqualTo(names.size() - 1);
            for (String name : names) {
                if (!name.equals("lithe.json")) {
                    assertThat(files.path(name).path("sha256").asText())
                            .as(name)
                            .isEqualTo(sha256(folder.resolve(name)));
                }
            }
        }
    }

    @Test
    void leavesNothingWhenClosedUnfinished() throws IOException {
        Path target = temporary.resolve("model");
        try (var writer = CheckpointWriter.open(target, false)) {
            writer.text("a.txt", "a");
        }
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void leavesNothingWhenAStepFails() {
        Path target = temporary.resolve("model");
        assertThatThrownBy(
                        () -> {
                            try (var writer = CheckpointWriter.open(target, false)) {
                                writer.text("a.txt", "a");
                                writer.copy(temporary.resolve("absent"));
                            }
                        })
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("absent");
        assertThat(temporary).isEmptyDirectory();
    }

    @Test
    void refusesATensorOfANameItHas() {
        try (var writer = CheckpointWriter.open(temporary.resolve("model"), false)) {
            writer.write("a", DType.U8, List.of(0L), List.of());
            assertThatThrownBy(() -> writer.write("a", DType.U8, List.of(0L), List.of()))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("'a' is written twice");
        }
    }

    @Test
    void refusesATargetInTheWay() throws IOException {
        Path target = Files.createDirectory(temporary.resolve("model"));
        refused(target, false, "add --force");
        refused(target, true, "was not written by Lithe");
        Path file = Files.writeString(temporary.resolve("file"), "mine");
        refused(file, true, "was not written by Lithe");
        assertThat(temporary).isDirectoryNotContaining("glob:**.partial");
    }

    @Test
    void refusesATargetThatCameIntoTheWayMeanwhile() throws IOException {
        Path target = temporary.resolve("model");
        try (var writer = CheckpointWriter.open(target, false)) {
            Files.createDirectory(target);
            Files.writeString(target.resolve("notes.txt"), "mine");
            assertThatThrownBy(() -> writer.finish(JSON.createObjectNode()))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining("exists");
        }
        assertThat(target.resolve("notes.txt")).hasContent("mine");
        assertThat(temporary.resolve("model.partial")).doesNotExist();
    }

    @Test
    void replacesAModelOfLithe() throws Exception {
        Path target = write(temporary.resolve("model"), 700, new HashMap<>());
        try (var writer = CheckpointWriter.open(target, true)) {
            writer.text("only.txt", "new");
            writer.finish(JSON.createObjectNode());
        }
        assertThat(names(target))
                .containsExactlyInAnyOrder("only.txt", "lithe.json", "model.safetensors");
        assertThat(names(temporary)).containsExactly("model");
    }

    @Test
    void replacesWhatACrashLeft() throws IOException {
        Path target = temporary.resolve("model");
        Path left = Files.createDirectories(temporary.resolve("model.partial").resolve("deeper"));
        Files.writeString(left.resolve("a"), "half");
        Files.writeString(left.resolveSibling(".lock"), "");
        Files.writeString(temporary.resolve("model.partial").resolve("tensors.spool"), "half");
        try (var writer = CheckpointWriter.open(target, false)) {
            writer.finish(JSON.createObjectNode());
        }
        assertThat(names(target)).containsExactlyInAnyOrder("lithe.json", "model.safetensors");
        assertThat(names(temporary)).containsExactly("model");
    }

    @Test
    void foldersOfTheUsersThatHaveOurNamesAreLeftAlone() throws IOException {
        for (String name : new String[] {"model.partial", "model.replaced"}) {
            Path mine = Files.createDirectories(temporary.resolve(name)).resolve("mine.txt");
            Files.writeString(mine, "mine");
            assertThatThrownBy(() -> CheckpointWriter.open(temporary.resolve("model"), false))
                    .isInstanceOf(LitheException.class)
                    .hasMessageContaining(name + " is in the way");
            assertThat(mine).hasContent("mine");
            Files.delete(mine);
            Files.delete(mine.getParent());
        }
    }

    @Test
    void bringsBackTheOldModelAfterACrashBetweenTheRenames() throws Exception {
        Path target = write(temporary.resolve("model"), 700, new HashMap<>());
        Files.move(target, temporary.resolve("model.replaced"));
        refused(target, false, "exists");
        assertThat(names(temporary)).containsExactly("model");
        assertThat(target.resolve("lithe.json")).exists();
    }

    @Test
    void deletesWhatACrashLeftOfAnOldModel() throws Exception {
        Path target = write(temporary.resolve("model"), 700, new HashMap<>());
        Path left = Files.createDirectory(temporary.resolve("model.replaced"));
        Files.writeString(left.resolve("lithe.json"), "{}"); // the last file to be deleted
        try (var writer = CheckpointWriter.open(target, true)) {
            writer.finish(JSON.createObjectNode());
        }
        assertThat(names(temporary)).containsExactly("model");
    }

    @Test
    void refusesASecondWriterUntilTheFirstIsDone() {
        Path target = temporary.resolve("model");
        try (var first = CheckpointWriter.open(target, false)) {
            first.text("a.txt", "first");
            refused(target, false, "is being written by another run");
            first.finish(JSON.createObjectNode());
        }
        try (var third = CheckpointWriter.open(target, true)) {
            assertThat(third.bytesWritten()).isZero();
        }
        assertThat(target.resolve("a.txt")).hasContent("first");
        assertThat(target.resolve(".lock")).doesNotExist();
    }

    private static void refused(Path target, boolean replace, String reason) {
        assertThatThrownBy(() -> CheckpointWriter.open(target, replace).close())
                .isInstanceOfSatisfying(
                        LitheException.class, e -> assertThat(e.fault()).isEqualTo(Fault.BAD_INPUT))
                .hasMessageContaining(reason);
    }

    /// Writes each type in each shape, named by both, and records the bytes.
    private static Path write(Path target, long maxShardBytes, Map<String, byte[]> written)
            throws IOException {
        var random = new Random(7);
        try (var writer = CheckpointWriter.open(target, false, null, maxShardBytes);
                var scope = TensorScope.open()) {
            for (DType dtype : DType.values()) {
                for (List<Long> shape : SHAPES) {
                    long count = shape.stream().reduce(1L, (a, b) -> a * b);
                    byte[] bytes = new byte[(int) count * dtype.bytes()];
                    random.nextBytes(bytes);
                    if (dtype == DType.BOOL) {
                        for (int i = 0; i < bytes.length; i++) {
                            bytes[i] &= 1;
                        }
                    }
                    String name = dtype.name() + shape;
                    written.put(name, bytes);
                    writer.write(name, tensor(scope, dtype, shape, bytes));
                }
            }
            writer.json("config.json", TinyModel.small().config());
            ObjectNode lithe = JSON.createObjectNode().put("schema", "test");
            assertThat(writer.finish(lithe)).isEqualTo(target.toAbsolutePath());
        }
        return target;
    }

    private static Value tensor(TensorScope scope, DType dtype, List<Long> shape, byte[] bytes) {
        long[] sizes = shape.stream().mapToLong(Long::longValue).toArray();
        return scope.call(
                "reinterpret", scope.bytes(ByteBuffer.wrap(bytes)), 0, dtype.code(), sizes);
    }

    private static Path withConfig(Path folder) throws IOException {
        Files.writeString(folder.resolve("config.json"), TinyModel.small().config().toString());
        return folder;
    }

    private static List<Long> shape(Value tensor) {
        return Arrays.stream(tensor.shape()).boxed().toList();
    }

    private static byte[] bytes(Value tensor) {
        ByteBuffer buffer = tensor.rawBytes();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private static List<String> names(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).toList();
        }
    }

    private static String sha256(Path file) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
        return HexFormat.of().formatHex(digest);
    }
}
