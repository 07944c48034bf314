package dev.lithe.model;

import java.util.Map;

/// [Phi3Family].
class Phi3FamilyTest extends ArchitectureContract {
    @Override
    String modelType() {
        return "phi3";
    }

    @Override
    Map<String, String> refused() {
        return Map.of(
                "rotate",
                "turns v alone",
                "width_prune:multiple_of=8",
                "as one linear each",
                "width_prune:heads=0.5,ffn=0,compensate=false",
                "as one linear each",
                "gqa:kv_heads=1",
                "as one linear",
                "gqa:kv_heads=1,pool=mean",
                "as one linear",
                "page_attention:page=4,pages=2,dense=0",
                "0 see everything, 3 have a window of their own");
    }
}
