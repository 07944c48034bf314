package dev.lithe.technique.quantize;

import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
import dev.lithe.model.Linear;
import dev.lithe.model.LinearForm;
import dev.lithe.model.LinearName;
import dev.lithe.technique.Family;
import dev.lithe.technique.LinearTechnique;
import dev.lithe.technique.Targets;
import dev.lithe.technique.Technique;
import dev.lithe.tensor.DType;
import dev.lithe.tensor.TensorScope;

/// Stores every float tensor in another float type, rounding to nearest even.
///
/// Recipe: `cast: {dtype: float16}`. float16 halves a float32 model and keeps 11 significant bits
/// up to 65504; bfloat16 keeps 8 bits and float32's range. Already quantized linears stay as they
/// are. A weight that float16 cannot hold is an error.
@AutoService(Technique.class)
public final class Cast implements LinearTechnique<Cast.Config> {
    /// @param dtype float16, bfloat16 or float32
    public record Config(DType dtype) {
        public Config {
            if (!dtype.isFloat() || dtype == DType.F64) {
                throw LitheException.badInput(
                        "dtype '%s' is no type for weights; choose float16, bfloat16 or float32",
                        dtype.torchName());
            }
        }
    }

    @Override
    public String name() {
        return "cast";
    }

    @Override
    public Family family() {
        return Family.QUANTIZATION;
    }

    @Override
    public String summary() {
        return "store floats as float16, bfloat16 or float32";
    }

    @Override
    public Config defaults() {
        return new Config(DType.F16);
    }

    @Override
    public Targets targets(Config config) {
        return Targets.ALL;
    }

    @Override
    public LinearForm outcome(LinearName linear, LinearForm before, Config config) {
        return before instanceof LinearForm.Dense ? new LinearForm.Dense(config.dtype()) : before;
    }

    @Override
    public long workingBytes(LinearName linear, Config config) {
        return 0;
    }

    @Override
    public Linear apply(Linear before, LinearForm after, Config config, TensorScope scope) {
        if (!(before instanceof Linear.Dense dense) || !(after instanceof LinearForm.Dense form)) {
            return before;
        }
        int type = config.dtype().code();
        if (scope.call("count_overflow", dense.weight(), type).integer() > 0) {
            throw LitheException.badInput(
                    "a weight does not fit %s; choose %s",
                    config.dtype().torchName(),
                    config.dtype() == DType.F16 ? "bfloat16" : "float32");
        }
        return new Linear.Dense(scope.call("cast", dense.weight(), type), dense.bias(), form);
    }

    @Override
    public DType otherTensors(DType before, Config config) {
        return config.dtype();
    }
}
