package dev.lithe.evaluate;

import dev.lithe.evaluate.Scores.Divergence;
import dev.lithe.fault.Fault;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Decoder;
import java.util.List;

/// How far a model is from the original, without intervals.
///
/// @param klDivergence mean KL(original || model) of a prediction, in nats
/// @param perplexityRatio to the original
public record BriefScore(double klDivergence, double perplexityRatio) {
    /// On `windows`.
    public static BriefScore of(Decoder original, Decoder model, TokenWindows windows) {
        List<Scores> scores =
                Evaluation.run(
                        List.of(new Subject("original", original), new Subject("model", model)),
                        windows,
                        ProgressListener.NONE);
        Divergence divergence = scores.getLast().divergence();
        if (divergence == null) {
            throw LitheException.of(Fault.INTERNAL, "the model was not compared");
        }
        double loss = Quality.meanLoss(scores.getLast()) - Quality.meanLoss(scores.getFirst());
        return new BriefScore(Quality.meanDivergence(divergence), Math.exp(loss));
    }
}
