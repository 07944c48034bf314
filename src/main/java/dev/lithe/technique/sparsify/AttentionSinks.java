package dev.lithe.technique.sparsify;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.SparseAttention;
import dev.lithe.technique.Family;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Technique;

/// Lets a token see the first few tokens of a text and the last ones only, so that a text of any
/// length takes the same memory, and goes on beyond the context that the model was trained on
/// (Guangxuan Xiao, Yuandong Tian, Beidi Chen, Song Han, Mike Lewis: "Efficient Streaming Language
/// Models with Attention Sinks", StreamingLLM, arXiv 2309.17453).
///
///     o_p = softmax(q_p K^T / sqrt(hd)) V,   K and V of the positions 0 .. S - 1 and p - W + 1 .. p
///
/// Models put much of their attention on the first tokens whatever they are, the sinks; without
/// them a window loses the model. Positions count within what is seen: the query that meets the
/// window stands at p, and the one that meets the sinks at `min(p, S + W - 1)`, so that no distance
/// is longer than that.
///
///     sparse_attention: {sinks: 4, window: 508}
///
/// The window is W, its own token included; 0 is what the context leaves beside the sinks, and then
/// no text that fits the context computes anything else. Where a model was trained on shorter
/// windows than its `max_position_embeddings`, S + W should be no longer than those. `{sinks: 0,
/// window: 0}` takes it back. No weight changes; it stands in `config.json` ([SparseAttention]), so
/// it goes with any other stage. Keys and values take S + W + 256 rows, rounded up, where
/// `kv_cache` may make each smaller. Blocks that have a shorter window of their own (Mistral,
/// Gemma) keep to it, without sinks.
///
/// Limits: what has left the window is forgotten, so it makes no long context, only long texts.
/// Calibration and evaluation see as it does, training sees whole windows. What a text shares with
/// the beginning of an earlier one is read anew once that was long enough to lose it. Another
/// program that runs the folder sees everything; an export to dense leaves it out, and GGUF cannot
/// say it. Which tokens are kept does not depend on what they are (no heavy hitters, no pages).
@AutoService(Technique.class)
public final class AttentionSinks implements RunTechnique<AttentionSinks.Config> {
    /// @param sinks S, tokens at the start that all see, at least 1
    /// @param window W, tokens that one sees besides; 0 for as many as the context leaves
    public record Config(int sinks, int window) {
        public Config {
            if (window < 0) {
                throw LitheException.badInput(
                        "window is %d; choose a count of tokens, or 0 for what the context leaves",
                        window);
            }
            if (sinks < 0 || sinks == 0 && window > 0) {
                throw LitheException.badInput(
                        "sinks is %d; choose at least 1 (4 is usual), for without sinks a window"
                                + " loses the model",
                        sinks);
            }
        }
    }

    @Override
    public String name() {
        return "sparse_attention";
    }

    @Override
    public Family family() {
        return Family.SPARSE;
    }

    @Override
    public String summary() {
        return "see the first few tokens and the last ones only, in memory that does not grow";
    }

    @Override
    public Config defaults() {
        return new Config(4, 0);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        SparseAttention.NONE.describe(model);
        int window = config.window();
        if (config.sinks() > 0 && window == 0) {
            int context = ModelSpec.of(model, "config.json").maxPositions();
            if (config.sinks() >= context) {
                throw LitheException.badInput(
                        "%d sinks leave nothing of the context of %d; choose fewer (4 is usual)",
                        config.sinks(), context);
            }
            window = context - config.sinks();
        }
        new SparseAttention(config.sinks(), window).describe(model);
    }
}
