package dev.lithe.technique.reshape;

import dev.lithe.calibrate.ChannelMoments;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.technique.Cut;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Random;

/// The channels between two slots of a block: what the linears of one make and the linear of the
/// other reads.
final class Channels {
    private final LoadedPart part;
    private final Slot reader;
    private final Importance criterion;
    private final TensorScope scope;
    private final ChannelMoments seen;
    private final float[] reading;
    private final float[] making;

    /// @param maker the slot whose outputs they are, as far as they are as many
    Channels(LoadedPart part, Slot maker, Slot reader, Importance criterion, TensorScope scope) {
        this.part = part;
        this.reader = reader;
        this.criterion = criterion;
        this.scope = scope;
        this.seen = ChannelMoments.of(part, reader);
        this.reading =
                scope.call("column_energy", Cut.dense(part.linear(reader())).weight()).floats();
        this.making = new float[reading.length];
        for (LinearName name : part.part().linears(maker)) {
            add(scope.call("row_energy", Cut.dense(part.linear(name)).weight()).floats());
        }
    }

    private LinearName reader() {
        return part.part().linears(reader).getFirst();
    }

    /// Linears with fewer outputs than there are channels count for several each.
    private void add(float[] energy) {
        int share = making.length / energy.length;
        for (int i = 0; i < making.length; i++) {
            making[i] += energy[i / share];
        }
    }

    /// The `count` most important units of `width` channels each, ascending.
    Value best(int width, int count, Random random) {
        double[] scores = Importance.sums(criterion.scores(seen, reading, making, random), width);
        return numbers(Importance.best(scores, count));
    }

    /// The channels of `units`, where each has `width`.
    Value channels(Value units, int width) {
        return numbers(Importance.channels(units.longs(), width));
    }

    /// What the channels that are not `kept` contribute to the reader's outputs on average.
    Value lostMean(Value kept) {
        return scope.call(
                "lost_mean", Cut.dense(part.linear(reader())).weight(), seen.means(scope), kept);
    }

    private Value numbers(long[] values) {
        return scope.tensor(values, values.length);
    }
}
