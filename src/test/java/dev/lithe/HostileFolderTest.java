package dev.lithe;

import static dev.lithe.ModelFolder.WEIGHTS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.sun.management.ThreadMXBean;
import dev.lithe.ModelFolder.Kind;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.tensor.DType;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/// Whatever is wrong with a model folder, opening it gives one line that says what: never a stack
/// trace, a hang, or an allocation of the size that the folder claims.
class HostileFolderTest {
    private static final Duration LIMIT = Duration.ofSeconds(5);
    private static final long MAX_ALLOCATED = 64L << 20;
    private static final int MAX_MESSAGE = 1000;

    @TempDir private Path temporary;

    @BeforeAll
    static void startLibtorch(@TempDir Path folder) throws IOException {
        open(ModelFolder.write(folder, Kind.SINGLE).path());
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void opensUndamaged(Kind kind) throws IOException {
        open(ModelFolder.write(temporary, kind).path());
    }

    @Test
    void opensWeightsThatAreNotNumbers() throws IOException {
        ModelFolder folder = ModelFolder.write(temporary, Kind.SINGLE);
        folder.tensors(all -> all.put("model.norm.weight", RawTensor.of(DType.F32, nans(32), 32)));
        open(folder.path());
    }

    @Test
    void opensLinksToFilesElsewhereAsTheHubCacheHasThem(@TempDir Path blobs) throws IOException {
        ModelFolder folder = ModelFolder.write(temporary, Kind.SINGLE);
        for (String name : List.of(WEIGHTS, "config.json")) {
            Files.move(folder.file(name), blobs.resolve(name));
            Files.createSymbolicLink(folder.file(name), blobs.resolve(name));
        }
        open(folder.path());
    }

    @ParameterizedTest
    @MethodSource({
        "dev.lithe.HostileWeights#lengths",
        "dev.lithe.HostileWeights#headers",
        "dev.lithe.HostileWeights#entries",
        "dev.lithe.HostileWeights#shards",
        "dev.lithe.HostileConfig#folders",
        "dev.lithe.HostileConfig#tensors",
        "dev.lithe.HostileConfig#counts",
        "dev.lithe.HostileConfig#settings",
        "dev.lithe.HostileConfig#tokenizers",
        "dev.lithe.HostileQuantization#quantization"
    })
    void saysWhatIsWrong(Kind kind, Damage damage, String fragment, TestInfo row)
            throws IOException {
        ModelFolder folder = ModelFolder.write(temporary, kind);
        damage.apply(folder);
        long allocated =
                assertTimeoutPreemptively(
                        LIMIT, () -> refusal(folder.path(), fragment, row.getDisplayName()));
        assertThat(allocated).as("bytes of heap allocated").isLessThan(MAX_ALLOCATED);
    }

    private static long refusal(Path folder, String fragment, String row) {
        var memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long thread = Thread.currentThread().threadId();
        long before = memory.getThreadAllocatedBytes(thread);
        Throwable thrown = catchThrowable(() -> open(folder));
        long allocated = memory.getThreadAllocatedBytes(thread) - before;
        assertThat(thrown).as(row).isInstanceOf(LitheException.class);
        assertThat(((LitheException) thrown).fault())
                .as("%s: %s", row, thrown.getMessage())
                .isEqualTo(Fault.BAD_INPUT);
        assertThat(thrown.getMessage())
                .as(row)
                .contains(fragment)
                .doesNotContainPattern("[\\r\\n]");
        assertThat(thrown.getMessage().length()).isLessThan(MAX_MESSAGE);
        return allocated;
    }

    private static void open(Path folder) {
        try (Tokenizer tokenizer = Tokenizer.open(folder);
                Decoder decoder = Decoder.open(folder)) {
            assertThat(decoder.spec().vocabSize()).isPositive();
            assertThat(tokenizer.encode("a", false)).hasSize(1);
        }
    }

    private static float[] nans(int count) {
        float[] values = new float[count];
        Arrays.fill(values, Float.NaN);
        return values;
    }
}
