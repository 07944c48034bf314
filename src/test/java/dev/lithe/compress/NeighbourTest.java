package dev.lithe.compress;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvBatch;
import dev.lithe.model.KvCache;
import dev.lithe.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// What a sequence computes does not depend on who is computed with it, whatever the weights are
/// stored as: other company changes its logits by rounding only, which is held against what the
/// stored form itself changes.
class NeighbourTest {
    private static final Path DEMO = Path.of("src/main/resources/demo");
    private static final long SEED = 77;
    private static final int LENGTH = 40;

    @TempDir private Path folder;

    private Path compress(String stages) {
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            List<String> each =
                    Arrays.stream(stages.split(";")).map(stage -> stage.replace('|', ',')).toList();
            Plan plan = Plan.of(RecipeParser.inline(each), checkpoint);
            return new Compressor(plan, checkpoint, (_, _, _) -> {})
                    .run(folder.resolve("made"), false);
        }
    }

    /// @param alone how far company may change a sequence
    /// @param among how far other company may: rows of int8 inputs are rounded alike whoever they
    ///   are with, while a single one may fall to the other side of a tie, which is as much as
    ///   rounding does at all
    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "cast:dtype=float16, 0.001, 0.001",
        "rtn:bits=8|group_size=0|activations=dynamic, 2, 0.001",
        "rtn:bits=8|group_size=0, 0.001, 0.001",
        "rtn:bits=4|group_size=32, 0.1, 0.1",
        "rtn:bits=3|group_size=32, 0.001, 0.001",
        "nf4, 0.001, 0.001",
        "fp8, 0.15, 0.001",
        "kv_cache:keys=8|values=8, 0.15, 0.15",
        "kv_cache:keys=4|values=4, 0.15, 0.15"
    })
    void changeNothing(String stages, double alone, double among) {
        try (Decoder original = Decoder.open(DEMO);
                Decoder decoder = Decoder.open(compress(stages))) {
            var random = new Random(SEED);
            int vocabulary = decoder.spec().vocabSize();
            int[] ids = random.ints(LENGTH, 2, vocabulary).toArray();
            float[] single = logits(decoder, ids, List.of());
            double effect = Math.max(distance(single, logits(original, ids, List.of())), 0.01);
            float[] before = new float[0];
            for (int others : new int[] {1, 7, 7, 20}) {
                List<int[]> company = new ArrayList<>();
                for (int i = 0; i < others; i++) {
                    int length = 1 + random.nextInt(60);
                    company.add(random.ints(length, 0, vocabulary).toArray());
                }
                float[] accompanied = logits(decoder, ids, company);
                assertThat(distance(single, accompanied))
                        .as("beside %d others, of %s, seed %d", others, effect, SEED)
                        .isLessThan(alone * effect);
                if (before.length > 0) {
                    assertThat(distance(before, accompanied))
                            .as("beside %d others now, of %s, seed %d", others, effect, SEED)
                            .isLessThan(among * effect);
                }
                before = accompanied;
            }
        }
    }

    /// Logits after `ids`, whose last token is decoded together with one of each of the others.
    private static float[] logits(Decoder decoder, int[] ids, List<int[]> others) {
        try (var scope = TensorScope.open()) {
            List<KvCache> caches = new ArrayList<>();
            int[] last = new int[others.size() + 1];
            int row = others.size() / 2;
            for (int i = 0; i < last.length; i++) {
                int[] each = i == row ? ids : others.get(i < row ? i : i - 1);
                last[i] = each[each.length - 1];
                caches.add(read(decoder, each, scope));
            }
            try (var batch = new KvBatch(caches)) {
                float[] all = decoder.decode(last, batch, scope).floats();
                int vocabulary = decoder.spec().vocabSize();
                return Arrays.copyOfRange(all, row * vocabulary, (row + 1) * vocabulary);
            }
        }
    }

    /// A cache that holds all but the last token.
    private static KvCache read(Decoder decoder, int[] ids, TensorScope scope) {
        KvCache cache = decoder.newCache(1, ids.length, scope);
        if (ids.length > 1) {
            try (var batch = new KvBatch(List.of(cache))) {
                int[][] piece = {Arrays.copyOf(ids, ids.length - 1)};
                decoder.extend(piece, batch, false, scope);
            }
        }
        return cache;
    }

    /// Root of the mean square of the differences.
    private static double distance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += (a[i] - b[i]) * (double) (a[i] - b[i]);
        }
        return Math.sqrt(sum / a.length);
    }
}
