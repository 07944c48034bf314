package dev.lithe.evaluate;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.checkpoint.Checkpoint;
import dev.lithe.checkpoint.CheckpointWriter;
import dev.lithe.checkpoint.QuantizationMetadata;
import dev.lithe.checkpoint.QuantizationMetadata.Scheme;
import dev.lithe.model.Architecture;
import dev.lithe.model.LinearName;
import dev.lithe.model.ModelSpec;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;
import dev.lithe.tensor.Value;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A copy of a model whose linears are rounded to grouped integers, for tests that compare.
public final class QuantizedCopy {
    private static final int STEPS = 20;

    private QuantizedCopy() {}

    /// Writes the copy to `target`.
    public static Path write(Path source, Path target, int bits, int group) {
        try (Checkpoint checkpoint = Checkpoint.open(source);
                CheckpointWriter writer = CheckpointWriter.open(target, false)) {
            var spec = ModelSpec.of(checkpoint.config(), source.toString());
            Map<String, @Nullable Scheme> schemes = new HashMap<>();
            Map<String, LinearName> linears = new HashMap<>();
            for (LinearName linear : Architecture.linears(spec)) {
                schemes.put(linear.module(), new Scheme(bits, true, group, false));
                linears.put(linear.module() + ".weight", linear);
            }
            for (String name : checkpoint.entries().keySet()) {
                try (var step = TensorScope.open()) {
                    Value tensor = checkpoint.load(name, step);
                    LinearName linear = linears.get(name);
                    if (linear == null) {
                        writer.write(name, tensor);
                    } else {
                        writeRounded(writer, linear, tensor, bits, group);
                    }
                }
            }
            ObjectNode config = checkpoint.config().deepCopy();
            config.set("quantization_config", QuantizationMetadata.describe(schemes));
            writer.json("config.json", config);
            writer.copy(source.resolve("tokenizer.json"));
            return writer.finish(JsonNodeFactory.instance.objectNode());
        }
    }

    private static void writeRounded(
            CheckpointWriter writer, LinearName linear, Value weight, int bits, int group) {
        try (var step = TensorScope.open()) {
            List<Value> codes =
                    step.call("rtn", weight, bits, group, true, STEPS, DType.F16.code()).members();
            writer.write(
                    linear.module() + ".weight_packed",
                    step.call("pack_codes", codes.get(0), bits));
            writer.write(linear.module() + ".weight_scale", codes.get(1));
            writer.write(
                    linear.module() + ".weight_shape",
                    step.tensor(new long[] {linear.outFeatures(), linear.inFeatures()}, 2));
        }
    }
}
