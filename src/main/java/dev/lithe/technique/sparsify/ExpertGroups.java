package dev.lithe.technique.sparsify;

import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;

/// Groups of equally many channels that add to the stream for the same tokens: k-means in which a
/// group that is full takes no more.
final class ExpertGroups {
    private static final int ROUNDS = 12;

    private final Value profiles;
    private final int count;
    private final int width;

    /// @param profiles (f, p), each of length 1
    /// @param count of groups, which divides f
    ExpertGroups(Value profiles, int count) {
        this.profiles = profiles;
        this.count = count;
        this.width = profiles.size(0) / count;
    }

    /// The channels of each group, ascending, (count, width) int64, owned by `into`.
    Value members(Random random, TensorScope into) {
        long[] members = shuffled(random);
        for (int round = 0; round < ROUNDS; round++) {
            try (var step = TensorScope.open()) {
                Value before = step.tensor(members, count, width);
                Value centres = step.call("centres", profiles, before);
                long[] next = assigned(step.call("closeness", profiles, centres).floats());
                if (Arrays.equals(next, members)) {
                    break;
                }
                members = next;
            }
        }
        return into.tensor(members, count, width);
    }

    private long[] shuffled(Random random) {
        long[] all = IntStream.range(0, count * width).asLongStream().toArray();
        for (int i = all.length - 1; i > 0; i--) {
            int other = random.nextInt(i + 1);
            long held = all[i];
            all[i] = all[other];
            all[other] = held;
        }
        return all;
    }

    /// Each channel to the closest group that has room, the closest pairs first.
    private long[] assigned(float[] distances) {
        long[] pairs = new long[distances.length];
        for (int i = 0; i < pairs.length; i++) {
            pairs[i] = (long) ascending(distances[i]) << Integer.SIZE | i;
        }
        Arrays.parallelSort(pairs);
        int[] group = new int[count * width];
        Arrays.fill(group, -1);
        int[] room = new int[count];
        Arrays.fill(room, width);
        for (long pair : pairs) {
            int channel = (int) pair / count;
            int to = (int) pair % count;
            if (group[channel] < 0 && room[to] > 0) {
                group[channel] = to;
                room[to]--;
            }
        }
        long[] members = new long[group.length];
        int[] next = IntStream.range(0, count).map(i -> i * width).toArray();
        for (int channel = 0; channel < group.length; channel++) {
            members[next[group[channel]]++] = channel;
        }
        return members;
    }

    /// An integer that is in the order of `x`.
    private static int ascending(float x) {
        int bits = Float.floatToIntBits(x);
        return bits >= 0 ? bits : bits ^ Integer.MAX_VALUE;
    }
}
