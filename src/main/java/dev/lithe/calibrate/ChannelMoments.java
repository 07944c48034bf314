package dev.lithe.calibrate;

import dev.lithe.model.LinearName.Slot;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.List;

/// Mean and mean square of each channel that enters a slot, over all tokens of the windows.
///
/// @param mean (K) float32
/// @param square (K) float32, the mean of squares
public record ChannelMoments(float[] mean, float[] square) {
    /// Of the input of `slot` of `part`, while the windows stand before it.
    public static ChannelMoments of(LoadedPart part, Slot slot) {
        int k = part.part().linears(slot).getFirst().inFeatures();
        double[] sum = new double[k];
        double[] squares = new double[k];
        part.show(
                slot,
                (x, step) -> {
                    List<Value> sums = step.call("channel_sums", x).members();
                    add(sum, sums.get(0).floats());
                    add(squares, sums.get(1).floats());
                });
        long tokens = part.tokens();
        return new ChannelMoments(mean(sum, tokens), mean(squares, tokens));
    }

    /// The means as a tensor (K), owned by `into`.
    public Value means(TensorScope into) {
        return into.tensor(mean, mean.length);
    }

    /// The variance of channel `j`.
    public double variance(int j) {
        return Math.max(0, square[j] - (double) mean[j] * mean[j]);
    }

    private static void add(double[] sum, float[] more) {
        for (int i = 0; i < sum.length; i++) {
            sum[i] += more[i];
        }
    }

    private static float[] mean(double[] sum, long count) {
        float[] mean = new float[sum.length];
        for (int i = 0; i < mean.length; i++) {
            mean[i] = (float) (sum[i] / count);
        }
        return mean;
    }
}
