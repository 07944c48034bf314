package dev.lithe.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lithe.SharedFiles;
import dev.lithe.model.Decoder;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Perplexities against those of independent implementations: PyTorch and llama.cpp.
class PerplexityAnchorTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final int CONTEXT = 256;

    @Test
    void firstTokensOfTheDemosOwnTextAgreeWithPyTorch() {
        Scores scores = score(DEMO, DEMO.resolve("evaluation.txt"), 6_656, Scoring.ALL);
        assertThat(scores.windows()).isEqualTo(26);
        assertThat(scores.scored()).isEqualTo(6_630);
        assertThat(meanLoss(scores)).isCloseTo(2.7366, within(1e-3));
    }

    @Test
    void firstTokensOfTheModelsOwnTextAgreeWithPyTorch() {
        Scores scores =
                score(
                        SharedFiles.require("models/tinystories-7m-f16"),
                        SharedFiles.require("corpora/tinystories.eval.txt"),
                        8_192,
                        Scoring.ALL);
        assertThat(meanLoss(scores)).isCloseTo(2.333751, within(1e-4));
    }

    @Test
    void smallModelAgreesWithLlamaCpp() {
        Scores scores =
                score(
                        SharedFiles.require("models/stories260K"),
                        SharedFiles.require("corpora/tinystories.eval.txt"),
                        76_800,
                        Scoring.SECOND_HALF);
        assertThat(scores.scored()).isEqualTo(38_100);
        assertThat(Math.exp(meanLoss(scores))).isCloseTo(4.5657, within(1e-4));
    }

    private static double meanLoss(Scores scores) {
        return Arrays.stream(scores.loss()).sum() / scores.scored();
    }

    private static Scores score(Path folder, Path text, int tokens, Scoring scoring) {
        try (Decoder decoder = Decoder.open(folder);
                Tokenizer tokenizer = Tokenizer.open(folder)) {
            int[] ids = TextFile.read(text).tokenize(tokenizer);
            var windows = TokenWindows.of(ids, CONTEXT, tokens, scoring, decoder.spec().bosToken());
            return Evaluation.run(
                            List.of(new Subject("model", decoder)), windows, ProgressListener.NONE)
                    .getFirst();
        }
    }
}
