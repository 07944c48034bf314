package dev.lithe.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class TensorFileTest {
    private static final Path FILE = Path.of("src/main/resources/demo/model.safetensors");

    @Test
    void readsTheSameBytesThatItMaps() {
        try (var mapped = TensorFile.open(FILE);
                var read = TensorFile.unmapped(FILE, 100_001);
                var scope = TensorScope.open()) {
            for (TensorEntry entry : SafetensorsHeader.read(FILE)) {
                assertThat(read.load(entry, scope).rawBytes())
                        .as(entry.name())
                        .isEqualTo(mapped.load(entry, scope).rawBytes());
            }
        }
    }
}
