package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.Sublayers;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Rotary;
import dev.lithe.technique.Technique;
import dev.lithe.tokenize.BpeFile;
import dev.lithe.tokenize.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Knowledge pruning: removes what a task misses least, so that a smaller model does that task, and
/// others worse (task-aware structured pruning, as Xia, Zhong, Chen: "CoFi", arXiv 2204.00408, but
/// without training).
///
/// The task is a text, or a `.jsonl` with a `prompt` and an `answer` in each line, of which only the
/// answers count. Four fifths are looked at, one is held out. Tokens that the task does not use go
/// first ([VocabTrim]), for they cost it nothing. Of the rest, blocks go by what the task loses without
/// them and heads and channels by what they contribute on it ([DepthPrune], [WidthPrune]); how many of
/// each is found by a search over neighbouring shapes of the same size, by the task's own loss.
///
///     specialize: {task: task.jsonl, remove: 0.3, vocabulary: true, multiple_of: 32, samples: 32}
///
/// `remove` is the share of all parameters that goes. The price is reported in bits per character
/// (and for answers the share given exactly) before and after, on the held-out fifth and on the
/// calibration text, which stands for everything else; `specialize.json` keeps it. Linears must be
/// dense, and for `vocabulary` the tokenizer a BPE one. `heal` on the task's text goes behind with
/// `loss: ce` where tokens went.
@AutoService(Technique.class)
public final class Specialize implements ModelTechnique<Specialize.Config> {
    private static final String NOTES = "specialize.json";
    private static final String TOKENIZER = "tokenizer.json";

    /// @param task file that says what the model is for
    /// @param remove share of the parameters that goes, above 0 and below 1
    /// @param vocabulary whether tokens may go
    /// @param multipleOf what the number of channels stays a multiple of
    /// @param samples windows and examples that choices are measured on
    public record Config(
            @Nullable String task, double remove, boolean vocabulary, int multipleOf, int samples) {
        public Config {
            if (!(remove > 0 && remove < 1)) {
                throw LitheException.badInput(
                        "remove is %s; choose a share above 0 and below 1", remove);
            }
            if (multipleOf < 1 || samples < 1) {
                throw LitheException.badInput(
                        "multiple_of is %d and samples %d; choose 1 or more (32 is usual)",
                        multipleOf, samples);
            }
        }

        Task read() {
            if (task == null) {
                throw LitheException.badInput(
                        "task names no file; give a text or a .jsonl of prompts and answers");
            }
            return Task.read(Path.of(task));
        }
    }

    @Override
    public String name() {
        return "specialize";
    }

    @Override
    public Family family() {
        return Family.KNOWLEDGE;
    }

    @Override
    public String summary() {
        return "remove what a task misses least, and say what others lose";
    }

    @Override
    public Config defaults() {
        return new Config(null, 0.3, true, 32, 32);
    }

    @Override
    public List<Path> reads(Config config) {
        return config.task() == null ? List.of() : List.of(Path.of(config.task()));
    }

    @Override
    public boolean findsShapes(Config config) {
        return true;
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Rotary.require(model, "specialize cuts gates and heads of others; leave it out");
        config.read();
        ModelSpec spec = ModelSpec.of(model, name());
        spec.experts().requireNone(name());
        spec.sublayers()
                .requireAll(
                        "how small the model gets is counted by blocks that are alike",
                        Sublayers.REMOVE_BLOCKS);
        int tokens = spec.vocabSize();
        var shapes =
                new ShapeSearch(model.deepCopy(), config.remove(), config.multipleOf(), tokens);
        model.setAll(shapes.config(shapes.start()));
    }

    @Override
    public void check(Checkpoint source, ModelSpec before, int context, Config config) {
        if (config.vocabulary()) {
            BpeFile.read(source.folder(), source.config().path("vocab_size").asInt());
        }
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        int context = model.windows().context();
        Task task = config.read().pieces(model.folder(), Math.max(2, context * 3 / 4));
        Task others = Task.of(model.windows(), model.folder(), config.samples());
        try (var tokenizer = Tokenizer.open(model.folder());
                var before = model.on(task.shown().windows(model.folder(), context))) {
            int tokens = tokens(before, config);
            var shapes =
                    new ShapeSearch(model.config(), config.remove(), config.multipleOf(), tokens);
            Task some = task.shown().some(config.samples());
            WholeModel made;
            try (var candidates = new Candidates(before, shapes, config.samples())) {
                made =
                        candidates.make(
                                shapes.best(shape -> {
                                    try (WholeModel candidate = candidates.make(shape)) {
                                        return some.score(candidate, tokenizer).bits();
                                    }
                                }));
            }
            if (tokens < before.spec().vocabSize()) {
                try (WholeModel whole = made) {
                    made = new VocabTrim().apply(whole, new VocabTrim.Config(tokens));
                }
            }
            tell(before, made, task, others, tokenizer);
            return made;
        }
    }

    /// How many tokens stay: those that the task uses, more where that removes more than asked.
    private static int tokens(WholeModel model, Config config) {
        ModelSpec spec = model.spec();
        if (!config.vocabulary()) {
            return spec.vocabSize();
        }
        long rows = (spec.tiedEmbeddings() ? 1L : 2) * spec.hiddenSize();
        long most = (long) Math.ceil(spec.parameters() * config.remove() / rows);
        int multiple = config.multipleOf();
        int used = Math.ceilDiv(VocabTrim.used(model), multiple) * multiple;
        return (int) Math.min(spec.vocabSize(), Math.max(used, spec.vocabSize() - most));
    }

    private static void tell(
            WholeModel before, WholeModel made, Task task, Task others, Tokenizer tokenizer) {
        ObjectNode notes = JsonNodeFactory.instance.objectNode();
        String told = "";
        var trimmed = made.rewritten().get(TOKENIZER);
        try (var now =
                trimmed == null
                        ? Tokenizer.open(before.folder())
                        : Tokenizer.parse(
                                trimmed.toString().getBytes(StandardCharsets.UTF_8),
                                before.folder().resolve(TOKENIZER))) {
            for (boolean own : new boolean[] {true, false}) {
                Task measured = own ? task.heldOut() : others;
                Task.Score was = measured.score(before, tokenizer);
                Task.Score is = measured.score(made, now);
                ObjectNode note = notes.putObject(own ? "on_task" : "off_task");
                note.put("text", measured.file().name())
                        .put("examples", measured.examples().size());
                note.putObject("bits_per_character")
                        .put("before", was.bits())
                        .put("after", is.bits());
                told +=
                        String.format(
                                Locale.ROOT,
                                "%s task %.3f → %.3f bits per character",
                                own ? "on" : ", off",
                                was.bits(),
                                is.bits());
                if (measured.pairs()) {
                    note.putObject("exact_match")
                            .put("before", was.exact())
                            .put("after", is.exact());
                    told +=
                            String.format(
                                    Locale.ROOT,
                                    ", exact answers %.1f %% → %.1f %%",
                                    100 * was.exact(),
                                    100 * is.exact());
                }
            }
        }
        made.rewrite(NOTES, notes);
        made.bench().listener().step(1, 1, told);
    }
}
