package dev.lithe.export;

import dev.lithe.checkpoint.GgufType;
import dev.lithe.fault.LitheException;
import dev.lithe.model.LinearName;
import dev.lithe.model.LinearName.Slot;
import dev.lithe.model.ModelSpec;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// Which type of GGUF each weight becomes: one for all, or llama.cpp's mixes `q4_k_m` and `q5_k_m`,
/// where what quality depends on most has 6 bits: the output layer, and of values and of the second
/// feed-forward matrix those in the first and the last eighth of the blocks that have them and in
/// every third between (`use_more_bits` in `llama-quant.cpp`).
///
/// @param name as on the command line
/// @param mostly the type of what is not singled out
/// @param mixed whether anything is
public record GgufMix(String name, GgufType mostly, boolean mixed) {
    private static final List<GgufMix> KNOWN =
            Stream.concat(
                            Stream.of(
                                            GgufType.F32,
                                            GgufType.F16,
                                            GgufType.BF16,
                                            GgufType.Q8_0,
                                            GgufType.Q6_K,
                                            GgufType.Q5_K,
                                            GgufType.Q4_K,
                                            GgufType.Q5_1,
                                            GgufType.Q5_0,
                                            GgufType.Q4_1,
                                            GgufType.Q4_0)
                                    .map(GgufMix::of),
                            Stream.of(GgufType.Q5_K, GgufType.Q4_K)
                                    .map(type -> new GgufMix(of(type).name() + "_m", type, true)))
                    .toList();

    private static final int EIGHTHS = 8;
    private static final int EVERY = 3;

    /// `type` for all weights.
    public static GgufMix of(GgufType type) {
        return new GgufMix(type.name().toLowerCase(Locale.ROOT), type, false);
    }

    /// What `name` means.
    ///
    /// @throws LitheException where Lithe writes nothing of that name
    public static GgufMix of(String name) {
        return KNOWN.stream()
                .filter(known -> known.name.equals(name.toLowerCase(Locale.ROOT)))
                .findFirst()
                .orElseThrow(() ->
                        LitheException.badInput(
                                "--type %s is unknown; Lithe writes %s",
                                name,
                                KNOWN.stream()
                                        .map(GgufMix::name)
                                        .collect(Collectors.joining(", "))));
    }

    /// The type that the rows of `linear` should have; theirs is [GgufType#forRow] of it.
    GgufType type(LinearName linear, ModelSpec spec) {
        return mixed && isSingledOut(linear, spec) ? GgufType.Q6_K : mostly;
    }

    private static boolean isSingledOut(LinearName linear, ModelSpec spec) {
        if (linear.block() < 0) {
            return linear.slot() == Slot.LM_HEAD || spec.tiedEmbeddings();
        }
        boolean down = linear.slot() == Slot.DOWN;
        if (!down && !linear.module().endsWith(".v_proj")) {
            return false;
        }
        IntPredicate has = down ? spec.sublayers()::feeds : spec.sublayers()::attends;
        int place = (int) IntStream.range(0, linear.block()).filter(has).count();
        int all = down ? spec.layers() : spec.attentionBlocks(); // as llama.cpp counts them
        int eighth = all / EIGHTHS;
        return place < eighth
                || place >= (EIGHTHS - 1) * all / EIGHTHS
                || (place - eighth) % EVERY == EVERY - 1;
    }
}
