package dev.lithe.technique.distill;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Effort;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.technique.distill.StudentShape.Start;
import dev.lithe.tokenize.TextFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Trains a small model from scratch on a text: architecture and tokenizer are the given model's,
/// its weights are not looked at. The loss is the cross-entropy of the next token, the loop that of
/// [Distill].
///
///     train: {text: stories, layers: 4, hidden_size: 128, intermediate_size: 384, heads: 4,
///       steps: 2000, batch: 16, learning_rate: 3e-3, seed: 0}
///
/// `text` is a file, or a folder whose `.txt` files are read in the order of their names; without it
/// the calibration text is taken. Shapes that are 0 stay the model's, and so does the width of a
/// head. Weights begin normal with a deviation of 0.02, by √(2 L) less where they add to the stream
/// (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019), and norms at 1.
@AutoService(Technique.class)
public final class Train implements ModelTechnique<Train.Config> {
    private static final String SUFFIX = ".txt";
    private static final int MOST_LAYERS = 1024;

    /// A text with so many characters for each token of a window fills it.
    private static final int PLENTY = 64;

    /// @param text a file or a folder; empty for the calibration text
    public record Config(
            String text, @JsonUnwrapped StudentShape shape, @JsonUnwrapped Schedule schedule) {
        Lesson lesson() {
            return new Lesson("train", Loss.CE.at(1), schedule, 0);
        }
    }

    @Override
    public String name() {
        return "train";
    }

    @Override
    public Family family() {
        return Family.DISTILLATION;
    }

    @Override
    public String summary() {
        return "train a small model of the same architecture from scratch on a text";
    }

    @Override
    public Config defaults() {
        return new Config("", StudentShape.SAME, Schedule.of(1000, 16, 3e-3));
    }

    @Override
    public List<Path> reads(Config config) {
        if (config.text().isEmpty()) {
            return List.of();
        }
        Path text = Path.of(config.text());
        if (!Files.isDirectory(text)) {
            return List.of(text);
        }
        try (var files = Files.list(text)) {
            List<Path> found =
                    files.filter(file -> file.getFileName().toString().endsWith(SUFFIX))
                            .sorted()
                            .toList();
            if (found.isEmpty()) {
                throw LitheException.badInput(
                        "text is %s, which holds no file that ends in %s; name another folder, or a"
                                + " file",
                        text, SUFFIX);
            }
            return found;
        } catch (IOException e) {
            throw LitheException.badInput("text: %s cannot be listed: %s", text, e.getMessage())
                    .causedBy(e);
        }
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "train does not train such models; choose another");
        for (Path file : reads(config)) {
            if (!Files.isRegularFile(file)) {
                throw LitheException.badInput(
                        "text is %s, which is neither a file nor a folder; name one", file);
            }
        }
        config.shape().configure(model, MOST_LAYERS);
    }

    @Override
    public void check(Checkpoint source, ModelSpec before, int context, Config config) {
        List<Path> files = reads(config);
        if (files.isEmpty()) {
            return;
        }
        TextFile text = text(config, files);
        if (text.content().length() < (long) PLENTY * context) {
            var window = new CalibrationSet(text, new long[1][context], 0);
            requireWindow(config, window.whole(source.folder()).samples(), context);
        }
    }

    private static TextFile text(Config config, List<Path> files) {
        var all = new StringBuilder();
        files.forEach(file -> all.append(TextFile.read(file).content()).append('\n'));
        return new TextFile(config.text(), "", all.toString());
    }

    private static void requireWindow(Config config, int windows, int context) {
        if (windows == 0) {
            throw LitheException.badInput(
                    "text %s is shorter than a window of %d tokens; give a longer one",
                    config.text(), context);
        }
    }

    @Override
    public LinearForm outcome(LinearForm before, Config config) {
        if (before instanceof LinearForm.Dense) {
            return before;
        }
        throw LitheException.badInput(
                "linears are already %s; it makes dense ones, so it goes first", before.label());
    }

    @Override
    public Effort effort(
            ModelSpec original, ModelSpec made, CalibrationSet windows, Config config) {
        return config.lesson().effort(original, made, windows);
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        ObjectNode changed = model.config();
        configure(changed, config);
        try (WholeModel fresh =
                config.shape().student(model, changed, Start.RANDOM, config.schedule().seed())) {
            return config.lesson()
                    .teach(model, fresh, windows(model, config), new Lesson.Learned() {});
        }
    }

    private CalibrationSet windows(WholeModel model, Config config) {
        CalibrationSet set = model.windows();
        List<Path> files = reads(config);
        if (!files.isEmpty()) {
            set = new CalibrationSet(text(config, files), set.windows(), set.seed());
        }
        CalibrationSet whole = set.whole(model.folder());
        requireWindow(config, whole.samples(), set.context());
        return whole;
    }
}
