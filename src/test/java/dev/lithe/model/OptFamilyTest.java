package dev.lithe.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import org.junit.jupiter.api.Test;

/// [OptFamily].
class OptFamilyTest extends ArchitectureContract {
    private static final String KIND = "learned positions, norms with biases and no gate; ";

    /// What neither OPT nor GPT-2 takes.
    static final Map<String, String> REFUSED =
            Map.ofEntries(
                    Map.entry("rotate", KIND + "such norms do not commute"),
                    Map.entry("slice:multiple_of=8", KIND + "such norms do not commute"),
                    Map.entry("slice:remove=0", KIND + "such norms do not commute"),
                    Map.entry("width_prune:multiple_of=8", KIND + "width_prune cuts gates"),
                    Map.entry(
                            "width_prune:heads=0.5,ffn=0,compensate=false",
                            KIND + "width_prune cuts gates"),
                    Map.entry("gqa:kv_heads=1", KIND + "loaders of such models share no keys"),
                    Map.entry(
                            "gqa:kv_heads=1,pool=mean",
                            KIND + "loaders of such models share no keys"),
                    Map.entry(
                            "depth_prune:remove=1,parts=attention,criterion=perplexity,samples=2",
                            KIND + "such blocks keep their parts"),
                    Map.entry(
                            "depth_prune:remove=1,parts=mlp,criterion=block_influence,samples=2",
                            KIND + "such blocks keep their parts"),
                    Map.entry(
                            "depth_prune:remove=2,parts=any,samples=2",
                            KIND + "such blocks keep their parts"),
                    Map.entry("heal:steps=2,rank=2,batch=2", KIND + "heal does not train"),
                    Map.entry(
                            "block_heal:steps=2,rank=2,batch=2",
                            KIND + "block_heal does not train"),
                    Map.entry("distill:layers=2,steps=2,batch=2", KIND + "distill does not train"),
                    Map.entry("sparse_attention:sinks=2,window=9", "learned vectors for its 128"),
                    Map.entry(
                            "sparse_attention:sinks=2,heavy=1,window=9,context=16",
                            "learned vectors for its 128"));

    @Override
    String modelType() {
        return "opt";
    }

    @Override
    Map<String, String> refused() {
        return REFUSED;
    }

    @Test
    void whatTheModelOf350MillionHasIsRefused() {
        ObjectNode projected = model().config().put("word_embed_proj_dim", 16);
        assertThatThrownBy(() -> ModelSpec.of(projected, "config.json"))
                .hasMessageContaining("word_embed_proj_dim is 16 and hidden_size 32");
        ObjectNode behind = model().config().put("do_layer_norm_before", false);
        assertThatThrownBy(() -> ModelSpec.of(behind, "config.json"))
                .hasMessageContaining("do_layer_norm_before is false");
    }

    @Test
    void biasesMayBeLeftOut() {
        ObjectNode config = model().config().put("enable_bias", false);
        assertThat(Architecture.linears(ModelSpec.of(config, "config.json")))
                .noneMatch(LinearName::hasBias);
    }

    @Test
    void otherActivationsAreRefused() {
        ObjectNode config = model().config().put("activation_function", "tanh");
        assertThatThrownBy(() -> ModelSpec.of(config, "config.json"))
                .hasMessageContaining("activation_function 'tanh' is unknown");
    }
}
