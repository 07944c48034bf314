package dev.lithe.technique.quantize;

import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.LinearTechniqueContract;
import dev.lithe.technique.quantize.Fp8.Granularity;
import dev.lithe.technique.quantize.Rtn.Activations;
import dev.lithe.technique.quantize.Rtn.Observer;
import java.util.List;
import java.util.stream.Stream;

class Fp8Test extends LinearTechniqueContract<Fp8.Config> {
    private final Fp8 fp8 = new Fp8();

    private static Fp8.Config config(Granularity granularity, Observer observer) {
        return new Fp8.Config(granularity, Activations.DYNAMIC, observer, List.of(), List.of());
    }

    @Override
    protected LinearTechnique<Fp8.Config> technique() {
        return fp8;
    }

    @Override
    protected List<Fp8.Config> configurations() {
        return Stream.of(Granularity.values())
                .flatMap(granularity ->
                        Stream.of(Observer.MINMAX, Observer.MSE)
                                .map(observer -> config(granularity, observer)))
                .toList();
    }

    @Override
    protected List<List<Fp8.Config>> growingBudgets() {
        return Stream.of(Granularity.values())
                .map(granularity ->
                        List.of(
                                config(granularity, Observer.MINMAX),
                                config(granularity, Observer.MSE)))
                .toList();
    }
}
