package dev.lithe.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import com.sun.management.ThreadMXBean;
import dev.lithe.TinyModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.ModelSource;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/// GGUF files that are not what they say: one line that tells what is wrong, and no allocation of
/// the size that the file claims.
class HostileGgufTest {
    private static final long MAX_ALLOCATED = 64L << 20;

    @TempDir private Path temporary;

    /// A head of one value or tensor after another, for what a writer would not write.
    private static final class Head {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        Head(int version, long tensors, long values) {
            ints(0x46554747, version).longs(tensors, values);
        }

        Head ints(int... numbers) {
            for (int number : numbers) {
                out.writeBytes(little(4).putInt(number).array());
            }
            return this;
        }

        Head longs(long... numbers) {
            for (long number : numbers) {
                out.writeBytes(little(8).putLong(number).array());
            }
            return this;
        }

        Head text(String text) {
            longs(text.length());
            out.writeBytes(text.getBytes(StandardCharsets.ISO_8859_1));
            return this;
        }

        /// One of two dimensions, the fastest first.
        Head tensor(String name, long k, long n, int type, long offset) {
            return text(name).ints(2).longs(k, n).ints(type).longs(offset);
        }

        byte[] bytes() {
            return out.toByteArray();
        }

        /// With `count` bytes of data behind it.
        byte[] bytes(int count) {
            return Arrays.copyOf(out.toByteArray(), (out.size() + 31) / 32 * 32 + count);
        }
    }

    private static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static Arguments row(String name, byte[] file, String fragment) {
        return argumentSet(name, file, fragment);
    }

    static Stream<Arguments> heads() {
        byte[] magic = new Head(3, 0, 0).bytes();
        magic[0] = 'X';
        return Stream.of(
                row("empty", new byte[0], "is no GGUF file"),
                row("magic", magic, "is no GGUF file"),
                row("version 1", new Head(1, 0, 0).bytes(), "GGUF version 1"),
                row("big endian", new Head(3 << 24, 0, 0).bytes(), "GGUF version 50331648"),
                row("no tensors", new Head(3, 0, 0).bytes(), "architecture 'none'"),
                row("tensors", new Head(3, 1 << 19, 0).bytes(), "says that it has 524288 tensors"),
                row(
                        "2^63 tensors",
                        new Head(3, 1L << 63, 0).bytes(),
                        "9223372036854775808 tensors"),
                row("values", new Head(3, 0, 60_000).bytes(), "says that it has 60000 values"),
                row(
                        "a long key",
                        new Head(3, 0, 1).longs(1L << 40).longs(0, 0).bytes(),
                        "says that it has 1099511627776 bytes in a key"),
                row(
                        "a key of 10 MB",
                        new Head(3, 0, 1).longs(10 << 20).longs(0, 0).bytes(),
                        "says that it has 10485760 bytes in a key"),
                row(
                        "a long list",
                        new Head(3, 0, 1).text("a").ints(9, 4).longs(4_000_000).bytes(),
                        "says that it has 4000000 members of a"),
                row(
                        "lists of lists",
                        new Head(3, 0, 1).text("a").ints(9, 9).longs(1, 0).bytes(),
                        "a is a list of lists"),
                row(
                        "unknown value",
                        new Head(3, 0, 1).text("a").ints(99).longs(0).bytes(),
                        "a is a value of type 99"),
                row(
                        "no text",
                        new Head(3, 0, 1).text("\u00ff\u00fe").ints(4, 1).bytes(),
                        "a key is no UTF-8 text"),
                row(
                        "a key twice",
                        new Head(3, 0, 2).text("a").ints(4, 1).text("a").ints(4, 1).bytes(),
                        "key 'a' is there twice"),
                row(
                        "alignment",
                        new Head(3, 0, 1).text("general.alignment").ints(4, 33).bytes(),
                        "general.alignment is 33"));
    }

    static Stream<Arguments> tensors() {
        return Stream.of(
                row(
                        "a tensor twice",
                        new Head(3, 2, 0)
                                .tensor("a", 8, 1, 0, 0)
                                .tensor("a", 8, 1, 0, 32)
                                .bytes(64),
                        "tensor 'a' is there twice"),
                row(
                        "overlap",
                        new Head(3, 2, 0)
                                .tensor("a", 16, 1, 0, 0)
                                .tensor("b", 8, 1, 0, 32)
                                .bytes(64),
                        "where another one still is"),
                row(
                        "misaligned",
                        new Head(3, 1, 0).tensor("a", 8, 1, 0, 4).bytes(64),
                        "no multiple of 32"),
                row(
                        "offset past the end",
                        new Head(3, 1, 0).tensor("a", 8, 1, 0, 1L << 40).bytes(64),
                        "the data, which has 64"),
                row(
                        "offset 2^63",
                        new Head(3, 1, 0).tensor("a", 8, 1, 0, 1L << 63).bytes(64),
                        "9223372036854775808"),
                row("cut off", new Head(3, 1, 0).tensor("a", 32, 1, 0, 0).bytes(64), "truncated?"),
                row(
                        "a huge dimension",
                        new Head(3, 1, 0).tensor("a", 1L << 62, 1, 0, 0).bytes(64),
                        "has a dimension of 4611686018427387904"),
                row(
                        "huge together",
                        new Head(3, 1, 0).tensor("a", 512, 512, 0, 0).bytes(64),
                        "which has 64"),
                row(
                        "size 0",
                        new Head(3, 1, 0).tensor("a", 0, 1, 0, 0).bytes(64),
                        "has a dimension of 0"),
                row(
                        "part of a block",
                        new Head(3, 1, 0).tensor("a", 33, 1, 8, 0).bytes(64),
                        "has rows of 33 numbers"),
                row(
                        "a type that Lithe does not read",
                        new Head(3, 1, 0).tensor("a", 256, 1, 10, 0).bytes(96),
                        "is of type Q2_K"),
                row(
                        "no type",
                        new Head(3, 1, 0).tensor("a", 32, 1, 777, 0).bytes(64),
                        "is of type no. 777"),
                row(
                        "five dimensions",
                        new Head(3, 1, 0).text("a").ints(5).longs(1, 1, 1, 1, 1, 0).bytes(64),
                        "has 5 dimensions"));
    }

    @ParameterizedTest
    @MethodSource({"heads", "tensors"})
    void saysWhatIsWrong(byte[] bytes, String fragment) throws IOException {
        Path file = temporary.resolve("hostile.gguf");
        Files.write(file, bytes);
        refused(file, fragment);
    }

    private static void refused(Path file, String fragment) {
        var memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().threadId();
        long before = memory.getThreadAllocatedBytes(thread);
        Throwable thrown =
                catchThrowable(() -> {
                    try (Decoder decoder = Decoder.open(ModelSource.folder(file.toString()))) {
                        assertThat(decoder.spec().layers()).isPositive();
                    }
                });
        assertThat(memory.getThreadAllocatedBytes(thread) - before).isLessThan(MAX_ALLOCATED);
        assertThat(thrown).isInstanceOf(LitheException.class);
        assertThat(((LitheException) thrown).fault()).isEqualTo(Fault.BAD_INPUT);
        assertThat(thrown.getMessage()).contains(fragment).doesNotContainPattern("[\\r\\n]");
    }

    private byte[] good() throws IOException {
        Path file = temporary.resolve("good.gguf");
        Path folder = TinyModel.small().write(temporary.resolve("model"));
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            GgufExport.write(checkpoint, null, file);
        }
        return Files.readAllBytes(file);
    }

    /// Wherever a good file is cut or a byte of its head is changed, it opens or is refused.
    @Test
    void noDamageGetsThrough() throws IOException {
        byte[] good = good();
        Path file = temporary.resolve("damaged.gguf");
        for (int at = 0; at < good.length; at += at < 200 ? 7 : 1499) {
            Files.write(file, Arrays.copyOf(good, at));
            opensOrRefuses(file);
        }
        for (int at = 4; at < 20_000; at += 61) {
            byte[] changed = good.clone();
            changed[at] ^= (byte) 0x80;
            Files.write(file, changed);
            opensOrRefuses(file);
        }
    }

    private static void opensOrRefuses(Path file) {
        Throwable thrown =
                catchThrowable(() -> {
                    try (Checkpoint checkpoint =
                            Checkpoint.open(ModelSource.folder(file.toString()))) {
                        assertThat(checkpoint.entries()).isNotEmpty();
                    }
                });
        if (thrown != null) {
            assertThat(thrown).isInstanceOf(LitheException.class);
            assertThat(((LitheException) thrown).fault())
                    .as(thrown.getMessage())
                    .isEqualTo(Fault.BAD_INPUT);
        }
    }

    @Test
    void aTensorThatIsMissingOrMisshapenIsNamed() throws IOException {
        renamed(
                bytes -> replaced(bytes, "blk.1.ffn_up.weight", "blk.1.ffn_xx.weight"),
                "has no place");
        renamed(
                bytes -> replaced(bytes, "blk.1.ffn_up.weight", "blk.7.ffn_up.weight"),
                "'model.layers.1.mlp.up_proj.weight' is missing");
    }

    private void renamed(UnaryOperator<byte[]> change, String fragment) throws IOException {
        Path file = temporary.resolve("renamed.gguf");
        Files.write(file, change.apply(good()));
        refused(file, fragment);
    }

    private static byte[] replaced(byte[] bytes, String from, String to) {
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        return text.replace(from, to).getBytes(StandardCharsets.ISO_8859_1);
    }
}
