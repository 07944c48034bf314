package dev.lithe.technique.reshape;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.lithe.calibrate.AnswerScores;
import dev.lithe.calibrate.CalibrationSet;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.tokenize.TextFile;
import dev.lithe.tokenize.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// What a model is to be good at: answers to prompts, or pieces of a text, which answer nothing.
///
/// @param pairs whether there are prompts
record Task(TextFile file, List<Example> examples, boolean pairs) {
    private static final JsonMapper JSON = new JsonMapper();
    private static final int HELD_OUT = 5;
    private static final int WINDOWS = 128;

    /// A prompt and the answer that it should have.
    record Example(String prompt, String answer) {}

    /// How well a model does.
    ///
    /// @param bits per character of the answers
    /// @param exact share of the answers that it would give itself
    record Score(double bits, double exact) {}

    Task {
        examples = List.copyOf(examples);
    }

    /// Checks `file` before there is a model: a text, or `.jsonl` with a `prompt` and an `answer`
    /// in each line.
    ///
    /// @throws LitheException where it holds nothing that can be used
    static Task read(Path file) {
        TextFile text = TextFile.read(file);
        if (!text.name().endsWith(".jsonl")) {
            if (text.content().isBlank()) {
                throw LitheException.badInput("%s has no usable line; give a text", file);
            }
            return new Task(text, List.of(new Example("", text.content())), false);
        }
        List<Example> examples =
                text.content()
                        .lines()
                        .map(Task::json)
                        .filter(line -> !line.path("answer").asText().isEmpty())
                        .map(line ->
                                new Example(
                                        line.path("prompt").asText(), line.path("answer").asText()))
                        .toList();
        if (examples.isEmpty()) {
            throw LitheException.badInput(
                    "%s has no usable line; write {\"prompt\": \"...\", \"answer\": \"...\"}, one a line",
                    file);
        }
        return new Task(text, examples, true);
    }

    private static JsonNode json(String line) {
        try {
            return JSON.readTree(line);
        } catch (JsonProcessingException _) {
            return MissingNode.getInstance();
        }
    }

    /// A text in pieces of `tokens` tokens, as the model in `folder` splits it; pairs stay.
    Task pieces(Path folder, int tokens) {
        if (pairs) {
            return this;
        }
        String content = examples.getFirst().answer();
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            int[] ends = tokenizer.ends(content);
            List<Example> pieces = new ArrayList<>();
            int from = 0;
            for (int i = Math.min(tokens, ends.length) - 1; i < ends.length; i += tokens) {
                int start = content.offsetByCodePoints(0, from);
                int end = content.offsetByCodePoints(start, ends[i] - from);
                if (end > start) {
                    pieces.add(new Example("", content.substring(start, end)));
                }
                from = ends[i];
            }
            return new Task(file, pieces, false);
        }
    }

    /// The pieces that windows of a calibration set are.
    static Task of(CalibrationSet set, Path folder, int samples) {
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            List<Example> examples =
                    Arrays.stream(set.first(samples).windows())
                            .map(ids ->
                                    tokenizer.decode(
                                            Arrays.stream(ids)
                                                    .mapToInt(Math::toIntExact)
                                                    .toArray()))
                            .filter(text -> !text.isEmpty())
                            .map(text -> new Example("", text))
                            .toList();
            return new Task(set.text(), examples, false);
        }
    }

    /// Four fifths, to look at; all where there are fewer than five.
    Task shown() {
        return only(i -> i % HELD_OUT != 0);
    }

    /// The other fifth, to measure with.
    Task heldOut() {
        return only(i -> i % HELD_OUT == 0);
    }

    private Task only(IntPredicate which) {
        return examples.size() < HELD_OUT
                ? this
                : new Task(
                        file,
                        IntStream.range(0, examples.size())
                                .filter(which)
                                .mapToObj(examples::get)
                                .toList(),
                        pairs);
    }

    /// At most `count`, spread evenly.
    Task some(int count) {
        int n = examples.size();
        return only(n, Math.min(count, n));
    }

    private Task only(int of, int count) {
        return new Task(
                file,
                IntStream.range(0, count)
                        .mapToObj(i -> examples.get((int) ((long) i * of / count)))
                        .toList(),
                pairs);
    }

    /// All of it, and [#WINDOWS] windows of `context` tokens spread evenly, less where it is short.
    CalibrationSet windows(Path folder, int context) {
        String text =
                examples.stream()
                        .map(example -> example.prompt() + example.answer())
                        .collect(Collectors.joining(pairs ? "\n" : ""));
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            int[] ids = tokenizer.encode(text, false);
            int width = Math.min(context, ids.length);
            int all = ids.length / width;
            long[][] windows = new long[Math.min(all, WINDOWS)][];
            for (int i = 0; i < windows.length; i++) {
                int first = (int) ((long) i * all / windows.length) * width;
                windows[i] = Arrays.stream(ids, first, first + width).asLongStream().toArray();
            }
            return new CalibrationSet(new TextFile(file.name(), file.sha256(), text), windows, 0);
        }
    }

    /// How well `model` does, whose tokenizer is `tokenizer`. A start token goes before each
    /// example, where the model has one; without, the first token of what has no prompt does not
    /// count. Examples longer than the model takes are left out.
    Score score(WholeModel model, Tokenizer tokenizer) {
        List<long[]> rows = new ArrayList<>();
        List<Integer> answers = new ArrayList<>();
        long characters = 0;
        Integer start = model.spec().bosToken();
        for (Example example : examples) {
            var before = IntStream.of(tokenizer.encode(example.prompt(), false));
            long[] prompt =
                    IntStream.concat(
                                    start == null ? IntStream.empty() : IntStream.of(start), before)
                            .asLongStream()
                            .toArray();
            int[] answer = tokenizer.encode(example.answer(), false);
            if (prompt.length + answer.length <= model.spec().maxPositions()) {
                rows.add(
                        IntStream.concat(
                                        Arrays.stream(prompt).mapToInt(Math::toIntExact),
                                        Arrays.stream(answer))
                                .asLongStream()
                                .toArray());
                answers.add(prompt.length);
                characters += example.answer().codePointCount(0, example.answer().length());
            }
        }
        if (rows.isEmpty()) {
            throw LitheException.badInput(
                    "no example of %s is short enough for the model's %d positions",
                    file.name(), model.spec().maxPositions());
        }
        int context = Math.max(2, rows.stream().mapToInt(row -> row.length).max().orElseThrow());
        float[] counts = new float[rows.size() * context];
        long[][] padded = new long[rows.size()][];
        for (int i = 0; i < padded.length; i++) {
            int end = i * context + rows.get(i).length;
            Arrays.fill(counts, i * context + answers.get(i), end, 1);
            padded[i] = Arrays.copyOf(rows.get(i), context);
        }
        var made = AnswerScores.of(model, new CalibrationSet(file, padded, 0), counts);
        return new Score(
                made.loss() / Math.log(2) / characters, (double) made.exact() / padded.length);
    }
}
