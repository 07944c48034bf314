package dev.lithe.model;

import java.util.Map;

/// [Qwen2Family].
class Qwen2FamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "qwen2";
    }

    @Override
    Map<String, String> refused() {
        return Map.of("width_prune:multiple_of=8", "set compensate: false");
    }
}
