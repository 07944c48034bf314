package dev.lithe.tensor;

import dev.lithe.fault.LitheException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

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
            return Torch.cudaDevices() > 0 ? cuda(wish, 0) : CPU;
        }
        Matcher named = CUDA.matcher(wish);
        if (!named.matches()) {
            throw LitheException.badInput("device '%s'; it is auto, cpu, cuda or cuda:N", wish);
        }
        int index = named.group(1) == null ? 0 : Integer.parseInt(named.group(1));
        int seen = Torch.cudaDevices();
        if (index >= seen) {
            throw absent(wish, seen == 0 ? "no CUDA device" : "cuda:0 to cuda:" + (seen - 1));
        }
        return cuda(wish, index);
    }

    /// A device that is seen may still be refused, by a driver too old or a chip too new.
    private static Device cuda(String wish, int index) {
        var device = new Device("cuda:" + index);
        try (var scope = TensorScope.open()) {
            device.place(scope.call("ones", 1), scope).floats();
        } catch (LitheException e) {
            throw absent(wish, device.name + " but cannot use it: " + e.getMessage()).causedBy(e);
        }
        return device;
    }

    private static LitheException absent(String wish, String seen) {
        return LitheException.badInput(
                "device '%s': libtorch %s sees %s; set PYTORCH_LIBRARY_PATH to the lib folder of a CUDA"
                        + " libtorch %s and PYTORCH_FLAVOR to its flavor (cu128), or use --device cpu",
                wish, Torch.version() + " (" + Torch.build() + ")", seen, Torch.version());
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

    @Override
    public String toString() {
        return name;
    }
}
