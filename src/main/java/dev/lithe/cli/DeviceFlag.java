package dev.lithe.cli;

import dev.lithe.tensor.Device;
import picocli.CommandLine.Option;

/// Where models run: an option of every command that measures or serves.
final class DeviceFlag {
    @Option(
            names = "--device",
            paramLabel = "auto|cpu|cuda[:N]",
            defaultValue = "auto",
            description =
                    "Where models are measured and served (default: auto, the first CUDA device that libtorch"
                            + " sees, else cpu). Compressing itself runs on the processor.")
    private String wish = "";

    /// The device.
    ///
    /// @throws dev.lithe.fault.LitheException where libtorch does not see it
    Device device() {
        return Device.choose(wish);
    }
}
