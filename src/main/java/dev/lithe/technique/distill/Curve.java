package dev.lithe.technique.distill;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;

/// How the losses of a training fell: the mean over a few steps each, and on what was held out. It
/// is kept in the model's folder, in `training.json`, for the report.
final class Curve {
    /// The file, an object whose `curves` are those of all trainings of a model, in their order.
    static final String FILE = "training.json";

    private static final int POINTS = 200;
    private static final double DIGITS = 1e6;

    private final int each;
    private final float[] sums;
    private final float[] heldOut;
    private final int every;

    /// @param every steps from one look at what was held out to the next
    Curve(int steps, int every) {
        this.each = (steps + POINTS - 1) / POINTS;
        this.every = every;
        this.sums = new float[2 * ((steps + each - 1) / each)];
        this.heldOut = new float[steps / every + 2];
        Arrays.fill(heldOut, Float.NaN);
    }

    /// Step `step`, from 0, had this loss.
    void step(int step, double loss) {
        sums[2 * (step / each)] += (float) loss;
        sums[2 * (step / each) + 1]++;
    }

    /// Before `step`, what was held out had this loss.
    void heldOut(int step, double loss) {
        heldOut[(step + every - 1) / every] = (float) loss;
    }

    /// All of it, for a [Snapshot].
    Value tensor(TensorScope into) {
        float[] all = Arrays.copyOf(sums, sums.length + heldOut.length);
        System.arraycopy(heldOut, 0, all, sums.length, heldOut.length);
        return into.tensor(all, all.length);
    }

    /// Takes what [#tensor] made.
    void restore(Value tensor) {
        float[] all = tensor.floats();
        System.arraycopy(all, 0, sums, 0, sums.length);
        System.arraycopy(all, sums.length, heldOut, 0, heldOut.length);
    }

    /// Adds it to the curves of `model`.
    ///
    /// @param stage that trained
    /// @param steps that it was to take
    /// @param tokens of a step
    void note(WholeModel model, String stage, int steps, int tokens) {
        ObjectNode file = JsonNodeFactory.instance.objectNode();
        ArrayNode curves = file.putArray("curves");
        JsonNode earlier = model.rewritten().get(FILE);
        (earlier == null ? model.json(FILE).orElse(file) : earlier)
                .path("curves")
                .forEach(curve -> curves.add(curve.deepCopy()));
        ObjectNode curve = curves.addObject();
        curve.put("stage", stage).put("steps", steps).put("tokens_per_step", tokens);
        ArrayNode loss = curve.putArray("loss");
        for (int i = 0; i < sums.length / 2; i++) {
            if (sums[2 * i + 1] > 0) {
                point(loss, (int) (i * each + sums[2 * i + 1]), sums[2 * i] / sums[2 * i + 1]);
            }
        }
        ArrayNode held = curve.putArray("held_out");
        for (int i = 0; i < heldOut.length; i++) {
            if (!Float.isNaN(heldOut[i])) {
                point(held, Math.min(i * every, steps), heldOut[i]);
            }
        }
        model.rewrite(FILE, file);
    }

    private static void point(ArrayNode points, int step, double loss) {
        points.addArray().add(step).add(Math.round(loss * DIGITS) / DIGITS);
    }
}
