package dev.lithe.technique.reshape;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Cut;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import dev.lithe.tokenize.BpeFile;
import dev.lithe.tokenize.Tokenizer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/// Keeps only the tokens that a text uses most (Yang, Cui, Chen: "TextPruner", arXiv 2203.15996):
/// fewer rows of embedding and output layer, and a tokenizer without the others.
///
/// A token stays with all that merges make it of, by every way there is, so a text that the
/// original splits into tokens which stayed is split into the same ones under new numbers; what
/// needs others is split finer. Single bytes and special tokens always stay, so every text can be
/// written. Where the text uses fewer, the oldest merges fill up.
///
///     vocab_trim: {tokens: 2048}
///
/// `tokens` is how many stay, best a multiple of 64. The text that counts is all of the calibration
/// text. The tokenizer must be a BPE one, embedding and output layer dense. Perplexity by the token
/// cannot be compared with the original's afterwards; reports compare bits per character. What
/// learns from the original's answers, as `heal` does, goes before.
@AutoService(Technique.class)
public final class VocabTrim implements ModelTechnique<VocabTrim.Config> {
    private static final String SIZE = "vocab_size";
    private static final String TOKENIZER = "tokenizer.json";
    private static final List<String> NAMING =
            List.of("generation_config.json", "tokenizer_config.json", "added_tokens.json");
    private static final List<String> OTHER_FORMS =
            List.of("tokenizer.model", "vocab.json", "merges.txt");

    /// @param tokens how many stay
    public record Config(int tokens) {
        public Config {
            if (tokens < 1) {
                throw LitheException.badInput("tokens is %d; choose how many stay", tokens);
            }
        }
    }

    @Override
    public String name() {
        return "vocab_trim";
    }

    @Override
    public Family family() {
        return Family.ARCHITECTURE;
    }

    @Override
    public String summary() {
        return "keep only the tokens that a text uses most";
    }

    @Override
    public Config defaults() {
        return new Config(2048);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        int size = model.path(SIZE).asInt();
        if (config.tokens() >= size) {
            throw LitheException.badInput(
                    "tokens is %d, and the model has %d; choose a smaller number",
                    config.tokens(), size);
        }
        Vocabulary.renumber(model, config.tokens());
        model.put(SIZE, config.tokens());
    }

    @Override
    public void check(Checkpoint source, ModelSpec before, int context, Config config) {
        int size = source.config().path(SIZE).asInt();
        var tokenizer = BpeFile.read(source.folder(), size);
        Vocabulary.requireRoom(tokenizer, config.tokens(), source.config());
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        boolean cut = linear.slot() == Slot.EMBEDDING || linear.slot() == Slot.LM_HEAD;
        return cut ? outcome(before, config) : before;
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        var tokenizer = BpeFile.read(model.folder(), model.spec().vocabSize());
        long[] uses = uses(model);
        var vocabulary = Vocabulary.choose(tokenizer, uses, config.tokens(), model.config());
        ObjectNode changed = model.config();
        configure(changed, config);
        WholeModel made = model.reshaped(changed);
        for (int i = 0; i < model.blocks().size(); i++) {
            made.take(made.blocks().get(i), model.blocks().get(i));
        }
        cut(model.embedding(), made.embedding(), vocabulary);
        cut(model.output(), made.output(), vocabulary);
        made.rewrite(TOKENIZER, tokenizer.trimmed(vocabulary::now));
        NAMING.forEach(name ->
                model.json(name)
                        .ifPresent(file -> made.rewrite(name, vocabulary.renumbered(name, file))));
        OTHER_FORMS.forEach(made::omit);
        model.bench()
                .listener()
                .step(1, 1, "%.2f %% of the text".formatted(100 * vocabulary.covered(uses)));
        return made;
    }

    /// How many tokens have to stay for the text to be split as before.
    static int used(WholeModel model) {
        return Vocabulary.needed(
                        BpeFile.read(model.folder(), model.spec().vocabSize()),
                        uses(model),
                        model.config())
                .cardinality();
    }

    /// How often the text has each token.
    private static long[] uses(WholeModel model) {
        CalibrationSet set = model.windows();
        long[] uses = new long[model.spec().vocabSize()];
        if (set.text().content().isEmpty()) {
            Stream.of(set.windows()).flatMapToLong(Arrays::stream).forEach(id -> uses[(int) id]++);
        } else {
            try (Tokenizer tokenizer = Tokenizer.open(model.folder())) {
                Arrays.stream(set.text().tokenize(tokenizer))
                        .filter(id -> id < uses.length)
                        .forEach(id -> uses[id]++);
            }
        }
        return uses;
    }

    private static void cut(LoadedPart from, LoadedPart to, Vocabulary vocabulary) {
        to.part().norms().keySet().forEach(slot -> to.setNorm(slot, from.norm(slot)));
        try (var step = TensorScope.open()) {
            Value rows = step.tensor(vocabulary.rows(), vocabulary.rows().length);
            for (int i = 0; i < from.part().linears().size(); i++) {
                var linear = from.linear(from.part().linears().get(i));
                // behind the tokens' embedding there may be that of positions
                to.set(to.part().linears().get(i), i == 0 ? Cut.rows(linear, rows, step) : linear);
            }
        }
    }
}
