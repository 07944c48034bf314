package dev.lithe.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.tokenize.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CalibrationSetTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final Path TEXT = DEMO.resolve("calibration.txt");

    @TempDir private Path folder;

    private static CalibrationSet draw(Path text, CalibrationOptions options) {
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            ModelSpec spec = ModelSpec.of(checkpoint.config(), "config.json");
            return CalibrationSet.draw(text, options, DEMO, spec);
        }
    }

    private static CalibrationOptions options(int samples, Integer context, long seed) {
        return new CalibrationOptions(null, samples, context, seed);
    }

    @Test
    void windowsAreRunsOfTheTextAtPlacesThatTheSeedDraws() throws IOException {
        CalibrationSet set = draw(TEXT, options(16, 64, 3));
        assertThat(set.samples()).isEqualTo(16);
        assertThat(set.context()).isEqualTo(64);
        assertThat(set.text().name()).isEqualTo("calibration.txt");
        try (Tokenizer tokenizer = Tokenizer.open(DEMO)) {
            var ids =
                    Arrays.stream(tokenizer.encode(Files.readString(TEXT), false))
                            .asLongStream()
                            .boxed()
                            .toList();
            for (long[] window : set.windows()) {
                assertThat(Collections.indexOfSubList(ids, Arrays.stream(window).boxed().toList()))
                        .isNotNegative();
            }
        }
        assertThat(draw(TEXT, options(16, 64, 3)).windows()).isDeepEqualTo(set.windows());
        assertThat(Arrays.deepEquals(draw(TEXT, options(16, 64, 4)).windows(), set.windows()))
                .isFalse();
    }

    @Test
    void aShortTextGivesNoMoreWindowsThanFillIt() {
        CalibrationSet set = draw(TEXT, CalibrationOptions.DEFAULTS);
        assertThat(set.context()).isEqualTo(256);
        assertThat(set.samples()).isBetween(20, 40);
    }

    @Test
    void whatCannotFillAWindowIsRefusedInOneLine() throws IOException {
        Path few = Files.writeString(folder.resolve("few.txt"), "Once upon a time");
        assertThatThrownBy(() -> draw(few, CalibrationOptions.DEFAULTS))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("a calibration window takes 256");
        Path empty = Files.writeString(folder.resolve("empty.txt"), "");
        assertThatThrownBy(() -> draw(empty, CalibrationOptions.DEFAULTS))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("holds 0 bytes");
        assertThatThrownBy(() -> draw(folder.resolve("absent.txt"), CalibrationOptions.DEFAULTS))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("is no file");
        assertThatThrownBy(() -> draw(TEXT, options(4, 513, 0)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("at most 512");
        assertThatThrownBy(() -> options(0, 64, 0)).isInstanceOf(LitheException.class);
        assertThatThrownBy(() -> options(1, 1, 0)).isInstanceOf(LitheException.class);
    }
}
