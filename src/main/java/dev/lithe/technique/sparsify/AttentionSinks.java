package dev.lithe.technique.sparsify;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.SparseAttention;
import dev.lithe.technique.Family;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Technique;

/// Lets a token see the first few tokens of a text and the last ones only, and on request those
/// between them that matter most, so that a text of any length takes the same memory, and goes on
/// beyond the context that the model was trained on
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
/// it goes with any other stage. Keys and values take S + W + 256 rows, rounded up (without heavy
/// hitters), where
/// `kv_cache` may make each smaller. Blocks that have a shorter window of their own (Mistral,
/// Gemma) keep to it, without sinks.
///
/// `heavy: H` keeps H more tokens for each key-value head of each block, the heavy hitters (Zhenyu
/// Zhang et al.: "H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language
/// Models", arXiv 2306.14048). When S + H + W rows are full, 8 tokens leave the window; of them and
/// the H of before those stay with the greatest
///
///     F_j = sum over queries p so far and query heads i of the group of softmax(q_pi K^T / sqrt(hd))_j
///
/// the earlier of two that are equal, so W - 7 to W of the window are seen, and W is at least 8. The paper keeps as many
/// heavy hitters as recent tokens, each 10 % of the text, without sinks, and drops one token at a
/// time; 8 at once let a prompt be read in pieces as long.
///
///     sparse_attention: {sinks: 4, heavy: 126, window: 126}
///
/// Tokens that are kept stand where they do in the text, for they are chosen because of it, but at
/// most C away, the `context`: what has fallen behind that moves along, before the sinks. S + H + W
/// is at most C, and so many rows keys and values take.
///
/// It costs two numbers for each row, 16 bytes beside 8 hd of key and value, and time: such a model
/// is run by libtorch, not by the native kernels. It does not go with `kv_cache`, whose codes cannot
/// be turned, nor with speculative decoding, for sums cannot be taken back. Only a text that goes on
/// where an earlier one ended takes over what that has read. Blocks with a window of their own keep
/// to it. Whether it pays depends on model and text: on the small one that was measured a window as
/// long as both is better (`eval/results/sparse-attention.md`), so H is 0 unless told.
///
/// Limits: what has left the window and is not kept is forgotten, so it makes no long context,
/// only long texts. Sums favour what has been there long. Calibration and evaluation see as it does,
/// training sees whole windows. What a text shares with the beginning of an earlier one is read anew
/// once that was long enough to lose it. Another program that runs the folder sees everything; an
/// export to dense leaves it out, and GGUF cannot say it.
@AutoService(Technique.class)
public final class AttentionSinks implements RunTechnique<AttentionSinks.Config> {
    /// @param sinks S, tokens at the start that all see, at least 1
    /// @param window W, tokens that one sees besides; 0 for as many as the context leaves
    /// @param heavy H, tokens between them that each key-value head keeps
    /// @param context C, how far away those are at most, in tokens, which should be no more than
    ///   the model was trained on; 0 for its `max_position_embeddings`
    public record Config(int sinks, int window, int heavy, int context) {
        public Config {
            if (heavy < 0) {
                throw LitheException.badInput(
                        "heavy is %d; choose a count of tokens, or 0 for sinks and window alone",
                        heavy);
            }
            if (window < 0) {
                throw LitheException.badInput(
                        "window is %d; choose a count of tokens, or 0 for what the context leaves",
                        window);
            }
            if (context < 0) {
                throw LitheException.badInput(
                        "context is %d; choose a count of tokens, or 0 for the model's", context);
            }
            if (context > 0 && heavy == 0) {
                throw LitheException.badInput(
                        "context is %d, and heavy 0; it says how far away heavy hitters are, so choose"
                                + " how many, or leave it out",
                        context);
            }
            if (sinks < 0 || sinks == 0 && (window > 0 || heavy > 0)) {
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
        return "see the first few tokens, the last and chosen ones, in memory that does not grow";
    }

    @Override
    public Config defaults() {
        return new Config(4, 0, 0, 0);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        SparseAttention.NONE.describe(model);
        if (config.sinks() == 0) {
            return;
        }
        int trained = ModelSpec.of(model, "config.json").maxPositions();
        int context = config.context() > 0 ? config.context() : trained;
        long left = (long) context - config.sinks() - config.heavy();
        int least = config.heavy() > 0 ? SparseAttention.LEAVE : 1;
        if (config.window() == 0 && left < least) {
            throw LitheException.badInput(
                    "%d sinks and %d heavy hitters leave a window of %d of the context of %d, which must"
                            + " be at least %d; choose fewer (4 sinks are usual)",
                    config.sinks(), config.heavy(), Math.max(left, 0), context, least);
        }
        int window = config.window() > 0 ? config.window() : (int) left;
        int apart = config.heavy() > 0 ? context : 0;
        new SparseAttention(config.sinks(), window, config.heavy(), apart).describe(model);
        var _ = ModelSpec.of(model, "the stage " + name());
    }
}
