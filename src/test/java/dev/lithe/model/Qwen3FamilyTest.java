package dev.lithe.model;

import java.util.Map;

/// [Qwen3Family].
class Qwen3FamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "qwen3";
    }

    @Override
    Map<String, String> refused() {
        return Map.of(
                "width_prune:multiple_of=8",
                "set compensate: false",
                "gqa:kv_heads=1",
                "norms each head");
    }
}
