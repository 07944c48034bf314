package dev.lithe.technique.distill;

import dev.lithe.calibrate.InputStatistics;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Weighting;
import dev.lithe.technique.factorize.Svd;
import dev.lithe.technique.prune.Magnitude;
import dev.lithe.technique.prune.Storage;
import dev.lithe.technique.quantize.Nf4;
import dev.lithe.technique.quantize.Rtn;
import dev.lithe.technique.share.ShareLayers;
import dev.lithe.technique.share.ShareLayers.Pattern;
import dev.lithe.technique.share.ShareLayers.Start;
import dev.lithe.tensor.TensorScope;
import java.util.List;

/// Copies of a dense model whose linears have other forms, made by the techniques that make them.
final class Forms {
    private Forms() {}

    /// Makes one linear of another.
    @FunctionalInterface
    private interface Change {
        Linear of(LinearName name, Linear before, TensorScope step);
    }

    static WholeModel of(String form, WholeModel dense) {
        return switch (form) {
            case "shared" -> shared(dense, 2, 2);
            case "thin" -> thin(dense, 8);
            case "pruned" -> pruned(dense);
            case "masked" -> changed(dense, magnitude(Storage.COMPACT));
            case "int8" -> changed(dense, rtn(8, 0));
            case "int4" -> changed(dense, rtn(4, 16));
            case "codebook" -> changed(dense, simple(new Nf4(), nf4()));
            default -> throw new AssertionError(form);
        };
    }

    /// Blocks used several times, with corrections of a rank, or none for 0.
    static WholeModel shared(WholeModel dense, int blocks, int rank) {
        return new ShareLayers()
                .apply(
                        dense,
                        new ShareLayers.Config(
                                blocks, rank, Start.STEPWISE, Pattern.SEQUENCE, Weighting.NONE));
    }

    /// Every other linear as two thin ones.
    static WholeModel thin(WholeModel dense, int rank) {
        Svd svd = new Svd();
        Svd.Config defaults = svd.defaults();
        var config =
                new Svd.Config(
                        0.2,
                        rank,
                        Weighting.NONE,
                        0.5,
                        defaults.allocation(),
                        1,
                        List.of(),
                        List.of());
        int[] count = {0};
        return changed(
                dense,
                (name, before, step) -> {
                    if (count[0]++ % 2 == 1) {
                        return before;
                    }
                    LinearForm after = svd.outcome(name, before.form(), config);
                    var nothing =
                            new InputStatistics(step.call("identity", name.inFeatures()), 1, step);
                    return svd.apply(before, after, nothing, config, step).linear();
                });
    }

    /// Half of the weights zero, and stored as zeros.
    static WholeModel pruned(WholeModel dense) {
        return changed(dense, magnitude(Storage.DENSE));
    }

    private static Change magnitude(Storage storage) {
        Magnitude.Config defaults = new Magnitude().defaults();
        return simple(
                new Magnitude(),
                new Magnitude.Config(0.5, defaults.pattern(), storage, List.of(), List.of()));
    }

    private static Change rtn(int bits, int groupSize) {
        Rtn.Config defaults = new Rtn().defaults();
        return simple(
                new Rtn(),
                new Rtn.Config(
                        bits,
                        groupSize,
                        true,
                        defaults.activations(),
                        defaults.observer(),
                        defaults.indivisible(),
                        List.of(),
                        List.of()));
    }

    private static Nf4.Config nf4() {
        Nf4.Config defaults = new Nf4().defaults();
        return new Nf4.Config(16, false, defaults.indivisible(), List.of(), List.of());
    }

    private static <C extends Record> Change simple(LinearTechnique<C> technique, C config) {
        return (name, before, step) ->
                technique.apply(
                        before, technique.outcome(name, before.form(), config), config, step);
    }

    private static WholeModel changed(WholeModel dense, Change change) {
        WholeModel made = dense.reshaped(dense.config());
        made.take(made.embedding(), dense.embedding());
        made.take(made.output(), dense.output());
        for (int i = 0; i < dense.blocks().size(); i++) {
            LoadedPart to = made.blocks().get(i);
            made.take(to, dense.blocks().get(i));
            for (LinearName name : to.part().linears()) {
                try (var step = TensorScope.open()) {
                    to.set(name, change.of(name, to.linear(name), step));
                }
            }
        }
        return made;
    }
}
