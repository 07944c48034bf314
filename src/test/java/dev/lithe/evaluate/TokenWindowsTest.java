package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class TokenWindowsTest {
    private static final int START = 1;

    @Test
    void everyTokenButTheFirstOfAWindowIsATarget() {
        var windows = TokenWindows.of(ids(11), 5, 100, Scoring.ALL, null);
        assertThat(windows.count()).isEqualTo(2); // the eleventh id is dropped
        assertThat(windows.tokens()).isEqualTo(10);
        assertThat(windows.scored()).isEqualTo(8);
        assertThat(windows.inputs(0, 2, 0, 4)).containsExactly(10, 11, 12, 13, 15, 16, 17, 18);
        assertThat(windows.targets(0, 2, 0, 4)).containsExactly(11, 12, 13, 14, 16, 17, 18, 19);
    }

    @Test
    void secondHalfStartsWithTheStartTokenAndScoresFromTheMiddleOn() {
        // the text's ids 10, 11, ... follow a start token; id 17 at the second window's start is
        // lost
        // llama.cpp with n_ctx = 8: first = 4, the logits at 4, 5, 6 are scored on the ids at 5, 6,
        // 7
        var windows = TokenWindows.of(ids(16), 8, 100, Scoring.SECOND_HALF, START);
        assertThat(windows.scoredPerWindow()).isEqualTo(3);
        assertThat(windows.inputs(1, 1, 0, 4)).containsExactly(START, 18, 19, 20);
        assertThat(windows.inputs(1, 1, 4, 7)).containsExactly(21, 22, 23);
        assertThat(windows.targets(1, 1, 4, 7)).containsExactly(22, 23, 24);
        assertThat(windows.inputs(0, 2, 0, 2)).containsExactly(START, 10, START, 18);
    }

    @Test
    void llamaCppScores127TokensOfWindowsOf256() {
        assertThat(300 * Scoring.SECOND_HALF.scored(256)).isEqualTo(38_100);
        assertThat(384 * Scoring.SECOND_HALF.scored(256)).isEqualTo(48_768);
    }

    @Test
    void limitCountsTokens() {
        assertThat(TokenWindows.of(ids(100), 10, 39, Scoring.ALL, null).tokens()).isEqualTo(30);
    }

    @Test
    void whatCannotBeWindowsIsRefused() {
        assertThatThrownBy(() -> TokenWindows.of(ids(7), 8, 100, Scoring.ALL, null))
                .hasMessageContaining("7 tokens")
                .hasMessageContaining("8");
        assertThatThrownBy(() -> TokenWindows.of(ids(70), 8, 5, Scoring.ALL, null))
                .hasMessageContaining("limit is 5")
                .hasMessageContaining("8");
        assertThatThrownBy(() -> TokenWindows.of(ids(70), 1, 50, Scoring.ALL, null))
                .hasMessageContaining("context 1");
        assertThatThrownBy(() -> TokenWindows.of(ids(70), 2, 50, Scoring.SECOND_HALF, START))
                .hasMessageContaining("context 2");
        assertThatThrownBy(() -> TokenWindows.of(ids(70), 8, 50, Scoring.SECOND_HALF, null))
                .hasMessageContaining("bos_token_id");
    }

    private static int[] ids(int count) {
        return IntStream.range(10, 10 + count).toArray();
    }
}
