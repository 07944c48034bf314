package dev.lithe.model;

import java.util.Map;

/// [Gemma2Family].
class Gemma2FamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "gemma2";
    }

    @Override
    Map<String, String> refused() {
        return Map.of(
                "slice:multiple_of=8",
                "channel by channel",
                "slice:remove=0",
                "channel by channel",
                "rotate",
                "tie_word_embeddings",
                "tie_embeddings:samples=2",
                "is tied already",
                "width_prune:multiple_of=8",
                "set compensate: false");
    }
}
