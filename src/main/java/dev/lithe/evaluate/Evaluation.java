package dev.lithe.evaluate;

import dev.lithe.evaluate.Scores.Divergence;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import dev.lithe.model.KvCache;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.ArrayList;
import java.util.List;

/// Runs models over the same windows, the original first, and scores their float32 logits: the loss
/// of each, and how far each is from the original.
///
/// Memory: logits of one step stay under 256 MiB per model; a window whose logits are larger is run
/// piece by piece through its cache.
public final class Evaluation {
    private static final long LOGIT_BYTES = 256L << 20;

    /// Beyond this many tokens at once a step outgrows the processor's caches and gets slower.
    private static final int STEP_TOKENS = 1024;

    private final List<Subject> subjects;
    private final TokenWindows windows;
    private final ProgressListener progress;
    private final long logitBytes;
    private final List<Tally> tallies = new ArrayList<>();

    private Evaluation(
            List<Subject> subjects,
            TokenWindows windows,
            ProgressListener progress,
            long logitBytes) {
        this.subjects = subjects;
        this.windows = windows;
        this.progress = progress;
        this.logitBytes = logitBytes;
        for (int i = 0; i < subjects.size(); i++) {
            tallies.add(new Tally(windows, i > 0));
        }
    }

    /// Scores every subject; the first is the original that the others are compared with.
    ///
    /// @return one result per subject, in the same order
    /// @throws LitheException where a model's logits are not numbers, or vocabularies differ
    public static List<Scores> run(
            List<Subject> subjects, TokenWindows windows, ProgressListener progress) {
        return run(subjects, windows, progress, LOGIT_BYTES);
    }

    static List<Scores> run(
            List<Subject> subjects,
            TokenWindows windows,
            ProgressListener progress,
            long logitBytes) {
        checkVocabularies(subjects);
        var evaluation = new Evaluation(subjects, windows, progress, logitBytes);
        evaluation.runAll();
        return evaluation.tallies.stream().map(Tally::scores).toList();
    }

    private static void checkVocabularies(List<Subject> subjects) {
        int vocabSize = subjects.getFirst().decoder().spec().vocabSize();
        for (Subject subject : subjects) {
            int other = subject.decoder().spec().vocabSize();
            if (other != vocabSize) {
                throw LitheException.badInput(
                        "%s has a vocabulary of %d, %s of %d; they cannot be compared token by token",
                        subject.name(), other, subjects.getFirst().name(), vocabSize);
            }
        }
    }

    private void runAll() {
        int batch = batch();
        for (int window = 0; window < windows.count(); window += batch) {
            int rows = Math.min(batch, windows.count() - window);
            runBatch(window, rows);
            progress.update(
                    "evaluate",
                    (long) (window + rows) * windows.context(),
                    (long) windows.count() * windows.context());
        }
    }

    private int batch() {
        long byMemory = logitBytes / ((long) windows.context() * bytesPerToken());
        long bySpeed = STEP_TOKENS / windows.context();
        return Math.clamp(Math.min(byMemory, bySpeed), 1, windows.count());
    }

    private int bytesPerToken() {
        ModelSpec spec = subjects.getFirst().decoder().spec();
        return spec.vocabSize() * Float.BYTES;
    }

    /// The last token of a window is a target only, so nobody reads it.
    private void runBatch(int window, int rows) {
        int last = windows.context() - 1;
        int first = windows.scoring().firstPosition(windows.context());
        int piece = Math.clamp(logitBytes / ((long) rows * bytesPerToken()), 1, last);
        try (var scope = TensorScope.open()) {
            List<KvCache> caches = new ArrayList<>();
            for (Subject subject : subjects) {
                caches.add(subject.decoder().newCache(rows, last, scope));
            }
            if (first > 0) {
                readOnly(window, rows, first, caches);
            }
            for (int from = first; from < last; from += piece) {
                score(window, rows, from, Math.min(from + piece, last), caches);
            }
        }
    }

    private void readOnly(int window, int rows, int to, List<KvCache> caches) {
        for (int i = 0; i < subjects.size(); i++) {
            try (var step = TensorScope.open()) {
                Value ids = step.tensor(windows.inputs(window, rows, 0, to), rows, to);
                Value _ = subjects.get(i).decoder().forward(ids, 0, caches.get(i), false, step);
            }
        }
    }

    private void score(int window, int rows, int from, int to, List<KvCache> caches) {
        int width = to - from;
        try (var step = TensorScope.open()) {
            Value ids = step.tensor(windows.inputs(window, rows, from, to), rows, width);
            Value targets = step.tensor(windows.targets(window, rows, from, to), rows, width);
            Value original = logits(0, ids, from, caches, step);
            tallies.getFirst().addLoss(window, width, loss(original, targets));
            for (int i = 1; i < subjects.size(); i++) {
                try (var inner = TensorScope.open()) {
                    Value compressed = logits(i, ids, from, caches, inner);
                    tallies.get(i).addLoss(window, width, loss(compressed, targets));
                    List<Value> divergence =
                            inner.call("divergence", original, compressed).members();
                    tallies.get(i)
                            .addDivergence(
                                    window,
                                    width,
                                    divergence.get(0).floats(),
                                    divergence.get(1).floats());
                }
            }
        }
    }

    private static float[] loss(Value logits, Value targets) {
        try (var step = TensorScope.open()) {
            return step.call("token_loss", logits, targets).floats();
        }
    }

    private Value logits(int subject, Value ids, int from, List<KvCache> caches, TensorScope step) {
        Decoder decoder = subjects.get(subject).decoder();
        Value logits = decoder.forward(ids, from, caches.get(subject), true, step);
        if (step.call("finite_sum", logits).integer() == 0) {
            throw LitheException.badInput(
                    "%s (%s) gives logits that are not numbers; its weights are broken, or too large for"
                            + " float32",
                    subjects.get(subject).name(), decoder.folder());
        }
        return logits;
    }

    /// Sums per window, in float64.
    private static final class Tally {
        private final int scoredPerWindow;
        private final double[] loss;
        private final boolean compared;
        private final double[] kl;
        private final int[] sameTop;
        private final float[] tokenKl;
        private int tokens;

        Tally(TokenWindows windows, boolean compared) {
            this.scoredPerWindow = windows.scoredPerWindow();
            this.loss = new double[windows.count()];
            this.compared = compared;
            this.kl = new double[compared ? windows.count() : 0];
            this.sameTop = new int[compared ? windows.count() : 0];
            this.tokenKl = new float[compared ? windows.scored() : 0];
        }

        void addLoss(int window, int width, float[] losses) {
            for (int i = 0; i < losses.length; i++) {
                loss[window + i / width] += losses[i];
            }
        }

        void addDivergence(int window, int width, float[] divergences, float[] same) {
            for (int i = 0; i < divergences.length; i++) {
                kl[window + i / width] += divergences[i];
                sameTop[window + i / width] += (int) same[i];
                tokenKl[tokens++] = divergences[i];
            }
        }

        Scores scores() {
            return new Scores(
                    scoredPerWindow, loss, compared ? new Divergence(kl, sameTop, tokenKl) : null);
        }
    }
}
