package dev.lithe.route;

import dev.lithe.tensor.Device;
import java.nio.file.Path;

/// A variant that is not loaded yet: its name, its model folder, and where it will be computed.
public record VariantSource(String name, Path folder, Device device) {
    public VariantSource {
        Variant.requireName(name);
    }

    /// On the processor.
    public VariantSource(String name, Path folder) {
        this(name, folder, Device.CPU);
    }

    /// Loads it.
    public Variant open() {
        return Variant.open(name, folder, device);
    }
}
