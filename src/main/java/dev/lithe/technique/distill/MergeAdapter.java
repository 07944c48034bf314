package dev.lithe.technique.distill;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.calibrate.LoadedPart;
import dev.lithe.calibrate.WholeModel;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Architecture;
import dev.lithe.model.DenseWeights;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.technique.Family;
import dev.lithe.technique.ModelTechnique;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Adds a low-rank adapter to the weights that it was trained beside, `W + s B A` (Hu et al.,
/// "LoRA", arXiv 2106.09685; s with `use_rslora`: Kalajdzievski, arXiv 2312.03732). It is read in
/// the form that PEFT writes, and `heal` with the key `adapter`.
///
///     merge_adapter: {adapter: path/to/adapter}
///
/// A (r, K) and B (N, r), W (N, K) dense; sums are float32, rounded once to W's type. Adapters of
/// the embedding, of norms or biases, and DoRA are refused.
@AutoService(Technique.class)
public final class MergeAdapter implements ModelTechnique<MergeAdapter.Config> {
    /// @param adapter a folder with `adapter_config.json` and `adapter_model.safetensors`
    public record Config(String adapter) {}

    @Override
    public String name() {
        return "merge_adapter";
    }

    @Override
    public Family family() {
        return Family.DISTILLATION;
    }

    @Override
    public String summary() {
        return "add a low-rank adapter in PEFT's form to the weights";
    }

    @Override
    public Config defaults() {
        return new Config("");
    }

    @Override
    public boolean calibrated(Config config) {
        return false;
    }

    @Override
    public List<Path> reads(Config config) {
        Path folder = adapter(config).folder();
        return List.of(
                folder.resolve("adapter_config.json"), folder.resolve("adapter_model.safetensors"));
    }

    private static Adapter adapter(Config config) {
        if (config.adapter().isEmpty()) {
            throw LitheException.badInput("adapter is missing; name the folder of one");
        }
        return Adapter.open(Path.of(config.adapter()));
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        Adapter adapter = adapter(config);
        Set<String> left = new HashSet<>(adapter.modules());
        for (LinearName name : Architecture.linears(ModelSpec.of(model, "config.json"))) {
            adapter.check(name);
            left.remove(name.module());
        }
        if (!left.isEmpty()) {
            throw LitheException.badInput(
                    "%s changes '%s', which the model has not; is it another model's?",
                    adapter.folder(), left.iterator().next());
        }
    }

    @Override
    public LinearForm outcome(ModelSpec spec, LinearName linear, LinearForm before, Config config) {
        return adapter(config).modules().contains(linear.module())
                ? outcome(before, config)
                : before;
    }

    @Override
    public WholeModel apply(WholeModel model, Config config) {
        Adapter adapter = adapter(config);
        WholeModel made = model.reshaped(model.config());
        try (var scope = TensorScope.open()) {
            Map<String, List<Value>> pairs = adapter.read(scope);
            for (int i = 0; i < made.parts().size(); i++) {
                LoadedPart to = made.parts().get(i);
                made.take(to, model.parts().get(i));
                for (LinearName name : to.part().linears()) {
                    List<Value> pair = pairs.get(name.module());
                    if (pair != null) {
                        add(to, name, pair, adapter.scale());
                    }
                }
            }
        }
        return made;
    }

    private static void add(
            LoadedPart part, LinearName name, List<Value> pair, Adapter.Scale scale) {
        Linear.Dense dense = (Linear.Dense) part.linear(name); // the plan refuses others
        int type = dense.form().dtype().code();
        try (var step = TensorScope.open()) {
            Value sum =
                    step.call(
                            "train_merged",
                            DenseWeights.of(dense, step),
                            step.none(),
                            pair.getFirst(),
                            pair.getLast(),
                            scale.of(pair.getFirst().size(0)));
            if (step.call("count_overflow", sum, type).integer() > 0) {
                throw LitheException.badInput(
                        "%s: with the adapter weights are too large for %s; put a cast to bfloat16 or"
                                + " float32 before",
                        name.module(), dense.form().dtype().torchName());
            }
            Value stored = step.call("train_stored", sum, type);
            part.set(name, new Linear.Dense(stored, dense.bias(), dense.form()));
        }
    }
}
