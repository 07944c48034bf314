package dev.lithe.tensor;

import dev.lithe.fault.LitheException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Where a model is computed: the processor, or one of the CUDA devices that libtorch sees. It is
/// chosen once and handed to whatever loads a model; tensors that meet the model's follow it there.
///
/// @param name as libtorch has it: `cpu`, `cuda:0`
public record Device(String name) {
    /// The processor.
    public static final Device CPU = new Device("cpu");

    private static final Pattern CUDA = Pattern.compile("cuda(?::(\\d{1,3}))?");

    /// The device that `wish` asks for: `cpu`, `cuda` or `cuda:0` for the first, `cuda:1` and so
    /// on, or `auto` for the first CUDA device where there is one, and the processor otherwise.
    ///
    /// @throws LitheException where libtorch does not see it
    public static Device choose(String wish) {
        if (wish.equals(CPU.name)) {
            return CPU;
        }
        if (wish.equals("auto")) {
            return trouble(cuda(0)) == null ? cuda(0) : CPU;
        }
        Matcher named = CUDA.matcher(wish);
        if (!named.matches()) {
            throw LitheException.badInput("device '%s'; it is auto, cpu, cuda or cuda:N", wish);
        }
        int index = named.group(1) == null ? 0 : Integer.parseInt(named.group(1));
        @Nullable LitheException trouble = trouble(cuda(index));
        if (trouble != null) {
            throw LitheException.badInput(
                            "device '%s': libtorch %s sees %s (%s); set PYTORCH_LIBRARY_PATH to the lib folder"
                                    + " of a CUDA libtorch of that version and PYTORCH_FLAVOR to its flavor"
                                    + " (cu128), or use --device cpu",
                            wish, Torch.version(), seen(), reason(trouble))
                    .causedBy(trouble);
        }
        return cuda(index);
    }

    private static Device cuda(int index) {
        return new Device("cuda:" + index);
    }

    /// What libtorch has against it; null where it can be used. Asking anything else than libtorch
    /// would tell of devices that its build, or its driver, does not run.
    ///
    /// @throws LitheException where libtorch does not run at all, whatever the device
    private static @Nullable LitheException trouble(Device device) {
        try (var scope = TensorScope.open()) {
            Value one = scope.call("ones", 1);
            try {
                device.place(one, scope).floats();
                return null;
            } catch (LitheException e) {
                return e;
            }
        }
    }

    private static String reason(LitheException trouble) {
        return trouble.getMessage().replaceFirst("^.*?Error: ", "").replaceFirst("\\. .*", "");
    }

    private static String seen() {
        int count = 0;
        while (trouble(cuda(count)) == null) {
            count++;
        }
        return switch (count) {
            case 0 -> "no CUDA device";
            case 1 -> "cuda:0 only";
            default -> "cuda:0 to cuda:" + (count - 1);
        };
    }

    /// Whether it is the processor.
    public boolean isCpu() {
        return equals(CPU);
    }

    /// `value` where it can be computed with: itself on the processor, else a copy in `into`, or
    /// itself again where it is there already.
    public Value place(Value value, TensorScope into) {
        return isCpu() ? value : into.call("to_device", value, name);
    }

    /// Waits until `value` is computed: other devices than the processor go on behind the caller's
    /// back, so that times would be those of handing work over.
    public void await(Value value) {
        if (!isCpu()) {
            try (var step = TensorScope.open()) {
                double _ = step.call("first_of", value).number();
            }
        }
    }

    @Override
    public String toString() {
        return name;
    }
}
