package dev.lithe.technique.sparsify;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.auto.service.AutoService;
import dev.lithe.fault.LitheException;
import dev.lithe.model.ModelSpec;
import dev.lithe.model.PageAttention;
import dev.lithe.technique.Family;
import dev.lithe.technique.RunTechnique;
import dev.lithe.technique.Technique;

/// Lets each query see the pages of a long text whose keys may answer it best, so that a token
/// reads a few keys and values however many there are (Jiaming Tang, Yilong Zhao, Kan Zhu, Guangxuan
/// Xiao, Baris Kasikci, Song Han: "Quest: Query-Aware Sparsity for Efficient Long-Context LLM
/// Inference", arXiv 2406.10774).
///
///     bound(q, P) = sum_j max(q_j min_P,j, q_j max_P,j) >= q k   for all keys k of page P
///     o_p = softmax(q_p K^T / sqrt(hd)) V,   K and V of p's own page and of the C with the highest bound
///
/// Positions fall into pages of `page` tokens, C is `pages`; min and max are over the rotated keys
/// of a page, coordinate by coordinate. Every query head of every token chooses for itself. The
/// first `dense` blocks see everything, as the authors have it: attention there is spread out.
///
///     page_attention: {page: 16, pages: 16, dense: 2}
///
/// A text of up to `page (pages + 1)` tokens computes nothing else. `{pages: 0}` takes it back. No
/// weight changes; it stands in `config.json` ([PageAttention]), so it goes with any other stage,
/// `sparse_attention` and `kv_cache` aside.
///
/// Limits: it saves reading keys and values, not holding them: a cache takes `1 / page` more, for
/// the bounds, in every block. Where `src/main/c` runs the model a token reads those and then the chosen pages only;
/// libtorch (a GPU, GPT-2, OPT) reads all and hides the rest. Blocks that have a window of their own
/// (Mistral, Gemma) see all of it. Calibration and evaluation see as it does, training sees whole
/// windows. Another program that runs the folder sees everything; an export to dense leaves it out,
/// and GGUF cannot say it.
@AutoService(Technique.class)
public final class AttentionPages implements RunTechnique<AttentionPages.Config> {
    /// @param page tokens of a page, at least 1
    /// @param pages C, pages that a query sees besides its own, up to 1024; 0 for all
    /// @param dense blocks at the start that see everything
    public record Config(int page, int pages, int dense) {
        public Config {
            if (page < 1) {
                throw LitheException.badInput(
                        "page is %d; choose a count of tokens (16 is usual)", page);
            }
            if (pages < 0 || pages > PageAttention.MOST) {
                throw LitheException.badInput(
                        "pages is %d; choose up to %d, or 0 for all", pages, PageAttention.MOST);
            }
            if (dense < 0) {
                throw LitheException.badInput(
                        "dense is %d; choose how many blocks see everything (2 is usual), or 0",
                        dense);
            }
        }
    }

    @Override
    public String name() {
        return "page_attention";
    }

    @Override
    public Family family() {
        return Family.SPARSE;
    }

    @Override
    public String summary() {
        return "read only the pages of a long text whose keys may answer a query best";
    }

    @Override
    public Config defaults() {
        return new Config(16, 16, 2);
    }

    @Override
    public void configure(ObjectNode model, Config config) {
        PageAttention.NONE.describe(model);
        if (config.pages() == 0) {
            return;
        }
        new PageAttention(config.page(), config.pages(), config.dense()).describe(model);
        var spec = ModelSpec.of(model, "the stage " + name());
        if (spec.blocksThatChoosePages() == 0) {
            int dense = Math.min(config.dense(), spec.layers());
            throw LitheException.badInput(
                    "none of the model's %d blocks would choose pages: the first %d see everything, %d"
                            + " have a window of their own; choose a lower dense, or leave"
                            + " page_attention out",
                    spec.layers(), dense, spec.layers() - dense);
        }
    }
}
