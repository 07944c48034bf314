package dev.lithe.model;

import java.util.Map;

/// [MistralFamily].
class MistralFamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "mistral";
    }

    @Override
    Map<String, String> refused() {
        return Map.of(
                "width_prune:multiple_of=8",
                "set compensate: false",
                "page_attention:page=4,pages=2,dense=0",
                "0 see everything, 3 have a window of their own");
    }
}
