package dev.lithe.calibrate;

import dev.lithe.model.DecoderBlock;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;

/// How likely a model finds answers.
///
/// @param loss summed negative log likelihood of the answers' tokens, in nats
/// @param exact answers that it would give itself, always taking the likeliest token
public record AnswerScores(double loss, int exact) {
    /// Of `model`, a block at a time.
    ///
    /// @param rows an answer each, behind what it answers
    /// @param counts (samples, context), 1 for tokens of answers, 0 for others
    public static AnswerScores of(WholeModel model, CalibrationSet rows, float[] counts) {
        try (var scope = TensorScope.open()) {
            var stream = new HiddenStates(rows, model.spec().hiddenSize(), null, scope);
            LoadedPart embedding = model.embedding();
            stream.embed(embedding.table(scope));
            for (LoadedPart part : model.blocks()) {
                try (var step = TensorScope.open()) {
                    DecoderBlock block = part.runnable(step);
                    stream.become(
                            stream, (x, into) -> block.output(block.afterAttention(x, into), into));
                }
            }
            LoadedPart output = model.spec().tiedEmbeddings() ? embedding : model.output();
            Value head = DenseWeights.of(output.linear(output.part().linears().getFirst()), scope);
            Value norm = model.output().norm(Slot.LM_HEAD);
            Value counted = scope.tensor(counts, rows.samples(), rows.context());
            double loss = 0;
            double exact = 0;
            int first = 0;
            for (Value x : stream.pieces()) {
                try (var step = TensorScope.open()) {
                    int end = first + x.size(0);
                    Value ids = step.tensor(rows.ids(first, end), x.size(0), rows.context());
                    Value logits =
                            step.call(
                                    "head_logits",
                                    x,
                                    norm,
                                    model.spec().normEpsilon(),
                                    head,
                                    model.spec().style().logitCap());
                    Value some = step.call("rows", counted, first, end);
                    float[] scores = step.call("answer_scores", logits, ids, some).floats();
                    loss += scores[0];
                    exact += scores[1];
                    first = end;
                }
            }
            return new AnswerScores(loss, (int) exact);
        }
    }
}
