package dev.lithe.technique.reshape;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.RawTensor;
import dev.lithe.TinyModel;
import dev.lithe.calibrate.BlockStack;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.ModelTechniqueContract;
import dev.lithe.technique.reshape.Gqa.Config;
import dev.lithe.technique.reshape.Gqa.Pool;
import dev.lithe.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GqaTest extends ModelTechniqueContract<Config> {
    private static final int WIDTH = 8;
    private static final int HIDDEN = 32;

    private final Gqa gqa = new Gqa();

    @Override
    protected ModelTechnique<Config> technique() {
        return gqa;
    }

    @Override
    protected List<Config> configurations() {
        return Arrays.stream(Pool.values())
                .flatMap(pool -> List.of(new Config(2, pool), new Config(1, pool)).stream())
                .toList();
    }

    /// Keys and values of heads 1 and 3 are those of their neighbours, so nothing is lost.
    @Test
    void equalHeadsBecomeOneWithoutLoss(@TempDir Path folder) throws IOException {
        for (Pool pool : Pool.values()) {
            assertThat(change(folder, neighboursAlike(weights -> weights), pool))
                    .as(pool.toString())
                    .isCloseTo(0, within(1e-4));
        }
    }

    /// Turned keys, pair by pair, and mixed values hold the same as their neighbours': `joint`
    /// finds that and the others do not.
    @Test
    void jointUndoesWhatTheOtherSideCanMakeUpFor(@TempDir Path folder) throws IOException {
        Map<String, RawTensor> model = neighboursAlike(GqaTest::turned);
        assertThat(change(folder, model, Pool.JOINT)).isCloseTo(0, within(1e-4));
        assertThat(change(folder, model, Pool.MEAN)).isGreaterThan(0.01);
        assertThat(change(folder, model, Pool.FIRST)).isGreaterThan(0.01);
    }

    /// The divergence from the model that `tensors` are.
    private double change(Path folder, Map<String, RawTensor> tensors, Pool pool)
            throws IOException {
        model().write(folder, model().config(), tensors);
        try (var source = Checkpoint.open(folder);
                var before = WholeModel.open(source, windows(300));
                var made = gqa.apply(before, new Config(2, pool));
                var from = new BlockStack(before, before.windows());
                var to = new BlockStack(made, before.windows())) {
            assertThat(made.spec().kvHeads()).isEqualTo(2);
            BitSet all = new BitSet();
            all.set(0, from.units().size());
            double difference = 0;
            for (int blocks = 1; blocks <= from.units().size(); blocks++) {
                BitSet some = all.get(0, blocks);
                difference =
                        Math.max(
                                difference,
                                Math.abs(to.without(some).loss() - from.without(some).loss()));
            }
            return difference;
        }
    }

    private static Map<String, RawTensor> neighboursAlike(UnaryOperator<float[]> changed) {
        Map<String, RawTensor> tensors = model().tensors();
        tensors.replaceAll((name, weight) -> {
            if (!name.matches(".*[kv]_proj.weight")) {
                return weight;
            }
            float[] values = weight.floats();
            int head = WIDTH * HIDDEN;
            for (int to = 1; to < 4; to += 2) {
                float[] copy = Arrays.copyOfRange(values, (to - 1) * head, to * head);
                System.arraycopy(changed.apply(copy), 0, values, to * head, head);
            }
            return RawTensor.of(DType.F32, values, values.length / HIDDEN, HIDDEN);
        });
        return tensors;
    }

    /// Coordinates j and j + 4 turned and scaled together, by another angle and factor for each j.
    private static float[] turned(float[] head) {
        var random = new Random(5);
        float[] turned = new float[head.length];
        for (int j = 0; j < WIDTH / 2; j++) {
            double angle = random.nextDouble() * 6;
            double size = 0.5 + random.nextDouble();
            for (int i = 0; i < HIDDEN; i++) {
                float x = head[j * HIDDEN + i];
                float y = head[(j + WIDTH / 2) * HIDDEN + i];
                turned[j * HIDDEN + i] =
                        (float) (size * (Math.cos(angle) * x - Math.sin(angle) * y));
                turned[(j + WIDTH / 2) * HIDDEN + i] =
                        (float) (size * (Math.sin(angle) * x + Math.cos(angle) * y));
            }
        }
        return turned;
    }

    @Test
    void numbersThatDoNotDivideAreRefused() {
        ObjectNode model = TinyModel.small().heads(4, 4, 8).config();
        assertThatThrownBy(() -> gqa.configure(model, new Config(3, Pool.MEAN)))
                .isInstanceOf(LitheException.class)
                .hasMessageContaining("kv_heads is 3, the model has 4");
        assertThatThrownBy(() -> gqa.configure(model, new Config(4, Pool.MEAN)))
                .hasMessageContaining("a smaller number");
        assertThatThrownBy(() -> new Config(0, Pool.MEAN)).hasMessageContaining("1 or more");
    }
}
