package dev.lithe.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.TinyModel;
import dev.lithe.model.Decoder;
import dev.lithe.model.Sublayers;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A model of 12 blocks and steps of 3 ms, in which 256 tokens take 8 ms per block, and 10 ms more
/// after a thousand others.
class PaceTest {
    private static final double STEP = 3e6;
    private static final double BLOCK = 8e6;
    private static final double PAIR = 1e7 / 256_000;
    private static final Pace PACE = new Pace(16, 256, 12, STEP, BLOCK, PAIR, Integer.MAX_VALUE);

    private static double block(int tokens, int past) {
        return Math.max(STEP / 12, BLOCK * tokens / 256) + tokens * (double) past * PAIR;
    }

    @Test
    void aWholeBlockIsTimed() {
        assertThat(Pace.usual(Sublayers.ALL, 3)).isZero();
        assertThat(Pace.usual(new Sublayers(List.of(0, 1), List.of(2)), 4)).isEqualTo(3);
        assertThat(Pace.usual(new Sublayers(List.of(0), List.of(1, 2)), 3)).isEqualTo(1);
    }

    /// The first block of it does nothing at all, and any other of 128 tokens takes longer than two
    /// of one.
    @Test
    void aModelMayBeginWithAnEmptyBlock(@TempDir Path folder) throws IOException {
        TinyModel.small().width(256, 1024).layers(3).without(List.of(0), List.of(0)).write(folder);
        try (Decoder decoder = Decoder.open(folder)) {
            Pace pace = Pace.measure(decoder, 0);
            assertThat(pace.blockNanos()).isGreaterThan(pace.stepNanos());
        }
    }

    @ParameterizedTest
    @CsvSource({"0, 64", "500, 32", "1000, 32", "2000, 16", "4000, 16", "100000, 16"})
    void chunksGetShorterAsThePastGrows(int past, int chunk) {
        assertThat(PACE.chunk(past, Pace.BESIDE)).isEqualTo(chunk);
        boolean fits = block(chunk, past) <= STEP;
        assertThat(fits || chunk == 16).isTrue();
        assertThat(block(2 * chunk, past)).isGreaterThan(STEP);
    }

    @ParameterizedTest
    @CsvSource({"1, 0", "8, 0", "15, 0", "17, 0", "64, 0", "32, 1000", "128, 0", "16, 4000"})
    void aSliceTakesAStepUnlessTheWholeIsShort(int tokens, int past) {
        int blocks = PACE.blocks(tokens, (long) tokens * past, Pace.BESIDE);
        double block = block(tokens, past);
        boolean whole = 12 * block <= 2 * STEP;
        assertThat(blocks).isBetween(1, 12);
        assertThat(blocks == 12).isEqualTo(whole);
        assertThat(whole || blocks == 1 || blocks * block <= STEP).isTrue();
        assertThat(whole || (blocks + 1) * block > STEP).isTrue();
    }

    @Test
    void slicesAreLongerWhileNobodyElseIsThere() {
        assertThat(PACE.chunk(0, Pace.ALONE)).isEqualTo(128);
        assertThat(PACE.blocks(32, 0, Pace.ALONE)).isEqualTo(2 * PACE.blocks(32, 0, Pace.BESIDE));
    }

    @Test
    void aFewTokensAreReadAtOnceUnlessTheyFollowMany() {
        assertThat(PACE.atOnce(8, 0)).isTrue();
        assertThat(PACE.atOnce(8, 4000)).isFalse();
        assertThat(PACE.atOnce(64, 0)).isFalse();
    }

    @Test
    void aChunkThatIsGivenStays() {
        var given = new Pace(256, 256, 12, STEP, BLOCK, PAIR, Integer.MAX_VALUE);
        assertThat(given.chunk(0, Pace.BESIDE)).isEqualTo(256);
        assertThat(given.chunk(4000, Pace.ALONE)).isEqualTo(256);
    }

    @Test
    void aLongPromptTakesMoreThanInProportion() {
        assertThat(PACE.prefillNanos(2000)).isGreaterThan(4 * PACE.prefillNanos(500));
    }

    @Test
    void aModelOfOneBlockIsMeasuredToo(@TempDir Path folder) throws IOException {
        try (var decoder = Decoder.open(TinyModel.small().layers(1).write(folder))) {
            assertThat(Pace.measure(decoder, 0).blockNanos()).isPositive();
        }
    }
}
