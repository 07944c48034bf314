package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelSizeTest {
    @TempDir private Path folder;

    @Test
    void demo() {
        ModelSize size = ModelSize.of(Path.of("src/main/resources/demo"));
        assertThat(size.parameters()).isEqualTo(7_212_288);
        assertThat(size.weightBytes()).isEqualTo(14_430_688);
        assertThat(size.bitsPerWeight()).isCloseTo(16.0, within(0.01));
        assertThat(size.folderBytes()).isGreaterThan(size.weightBytes());
        assertThat(size.linears()).hasSize(1).containsEntry("float16", 43);
    }

    @Test
    void shardsAddUpAndTiedOutputsCountOnce() throws IOException {
        Path one = TinyModel.small().tied().biases().write(folder.resolve("one"));
        Path three = TinyModel.small().tied().biases().shards(3).write(folder.resolve("three"));
        ModelSize size = ModelSize.of(three);
        assertThat(size.parameters()).isEqualTo(ModelSize.of(one).parameters());
        long floats = size.parameters() * Float.BYTES;
        assertThat(size.weightBytes())
                .isBetween(floats, floats + 3 * 10_000)
                .isGreaterThan(Files.size(three.resolve("model-00001-of-00003.safetensors")));
    }
}
