package dev.lithe.model;

import java.util.Map;

/// [GemmaFamily].
class GemmaFamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "gemma";
    }

    @Override
    Map<String, String> refused() {
        return Map.of(
                "rotate",
                "tie_word_embeddings",
                "tie_embeddings:samples=2",
                "is tied already",
                "width_prune:multiple_of=8",
                "set compensate: false");
    }
}
