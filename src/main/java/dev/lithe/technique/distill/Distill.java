package dev.lithe.technique.distill;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.technique.Family;
import dev.lithe.technique.LayerLists;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.DType;
import java.util.List;
import java.util.stream.IntStream;

/// Trains a student on what its teacher, the model that the recipe started from, predicts (Hinton,
/// Vinyals, Dean, arXiv 1503.02531; the divergences between KL and its reverse: Agarwal et al.,
/// "GKD", arXiv 2306.13649).
///
/// The student is what the recipe has made so far, or with `layers` that many of its blocks, evenly
/// spaced, the first and the last among them (Sanh et al., "DistilBERT", arXiv 1910.01108, take
/// every other one). All of its weights learn; [Objective] is what is made small.
///
///     distill: {layers: 3, steps: 1000, batch: 8, learning_rate: 1e-3, beta: 0, temperature: 1,
///       cross_entropy: 0, seed: 0}
///
/// `beta` 0 is KL(teacher || student), 1 its reverse. `layers: 0` leaves the blocks as they are. It
/// is [Heal] with rank 0, other losses and a choice of student, by the same loop and within the same
/// limits: dense linears, equal tokens.
@AutoService(Technique.class)
public final class Distill implements ModelTechnique<Distill.Config> {
    private static final String LAYERS = "num_hidden_layers";

    /// @param layers blocks of the student; 0 leaves them as they are
    /// @param steps of AdamW
    /// @param batch windows that a step looks at
    /// @param learningRate the highest
    /// @param beta which divergence, from 0, KL(teacher || student), to 1, its reverse
    /// @param temperature that logits are divided by before they are compared
    /// @param crossEntropy share of the loss on the text's own tokens
    /// @param seed of the windows' order
    /// @param precision of the multiplications, `bfloat16` or `float32`
    public record Config(
            int layers,
            int steps,
            int batch,
            double learningRate,
            double beta,
            double temperature,
            double crossEntropy,
            long seed,
            DType precision) {
        public Config {
            if (layers < 0) {
                throw LitheException.badInput(
                        "layers is %d; choose at least 1, or 0 to leave them as they are", layers);
            }
            var _ = new Schedule(steps, batch, learningRate, seed, precision);
            var _ = new Objective(beta, temperature, crossEntropy);
        }

        Lesson lesson() {
            var schedule = new Schedule(steps, batch, learningRate, seed, precision);
            return new Lesson(new Objective(beta, temperature, crossEntropy), schedule, 0);
        }
    }

    @Override
    public String name() {
        return "distill";
    }

    @Override
    public Family family() {
        return Family.DISTILLATION;
    }

    @Override
    public String summary() {
        return "train a student of fewer blocks on what the original model predicts";
    }

    @Override
    public Config defaults() {
        return new Config(0, 1000, 8, 1e-3, 0, 1, 0, 0, DType.BF16);
    }

    @Override
    public boolean needsOriginal(Config config) {
        return config.lesson().objective().needsTeacher();
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        int blocks = model.path(LAYERS).asInt();
        if (config.layers() > blocks) {
            throw LitheException.badInput(
                    "layers is %d, and the model has %d blocks to begin with; choose at most those",
                    config.layers(), blocks);
        }
        if (config.layers() > 0) {
            model.put(LAYERS, config.layers());
        }
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        int blocks = model.blocks().size();
        if (config.layers() == 0 || config.layers() == blocks) {
            return config.lesson().teach(model, model);
        }
        List<Integer> chosen = spaced(blocks, config.layers());
        ObjectNode changed = model.config();
        LayerLists.spellOut(changed, model.spec());
        LayerLists.keep(changed, blocks, chosen);
        configure(changed, config);
        try (WholeModel student = model.reshaped(changed)) {
            student.take(student.embedding(), model.embedding());
            for (int i = 0; i < chosen.size(); i++) {
                student.take(student.blocks().get(i), model.blocks().get(chosen.get(i)));
            }
            student.take(student.output(), model.output());
            return config.lesson().teach(model, student);
        }
    }

    /// Of `all` blocks, `count` as far from each other as can be.
    static List<Integer> spaced(int all, int count) {
        return IntStream.range(0, count)
                .mapToObj(i ->
                        count == 1 ? 0 : (int) Math.round(i * (all - 1) / (double) (count - 1)))
                .toList();
    }
}
