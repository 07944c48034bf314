package dev.lithe.route;

import java.nio.file.Path;

/// A variant that is not loaded yet: its name and its model folder.
public record VariantSource(String name, Path folder) {
    public VariantSource {
        Variant.requireName(name);
    }

    /// Loads it.
    public Variant open() {
        return Variant.open(name, folder);
    }
}
