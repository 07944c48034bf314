package dev.lithe.model;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lithe.fault.LitheException;

/// Which pages of a text each query sees. Positions fall into pages of `page` tokens. A query at
/// position p sees its own page up to itself and, of those before it, the `pages` with the highest
/// bound on its products with their keys: the sum over coordinates j of `max(q_j min_j, q_j
/// max_j)`, with the least and greatest number of the page's rotated keys; of equals the earlier
/// page. Query heads choose for themselves. It depends on the text alone, not on how it was read.
///
/// A model that sees so says so in `config.json`, as `"lithe_page_attention": {"format":
/// "lithe.page_attention/v1", "page": 16, "pages": 16, "dense": 2}`. Its first `dense` blocks see
/// everything, and blocks that have a window of their own keep to all of that. Other programs
/// ignore it and see whole texts.
///
/// @param page tokens of a page
/// @param pages that a query sees besides its own; 0 for all
/// @param dense blocks at the start that see everything
public record PageAttention(int page, int pages, int dense) {
    /// Of a model that says nothing: all see all.
    public static final PageAttention NONE = new PageAttention(0, 0, 0);

    /// Most pages that a query can choose, as `MOST_PAGES` in `pages.h`.
    public static final int MOST = 1024;

    /// Pages whose bounds lie side by side, as `SIDE` in `pages.h` and in `new_bounds` of
    /// `kvcache.py`.
    private static final int SIDE_BY_SIDE = 16;

    private static final String KEY = "lithe_page_attention";
    private static final String FORMAT = "lithe.page_attention/v1";

    /// What `config`, which `where` names in errors, says.
    static PageAttention of(ConfigReader config, String where) {
        if (!config.has(KEY)) {
            return NONE;
        }
        ConfigReader section = config.section(KEY, FORMAT);
        var stated =
                new PageAttention(
                        section.count("page"),
                        section.count("pages"),
                        section.countFromZero("dense", 0));
        if (stated.pages > MOST) {
            throw LitheException.badInput(
                    "%s: %s has %d pages; a query can choose up to %d, so make each page longer than"
                            + " %d tokens, or choose fewer",
                    where, KEY, stated.pages, MOST, stated.page);
        }
        return stated;
    }

    /// Says it in `config`, in place of what that said.
    public void describe(ObjectNode config) {
        config.remove(KEY);
        if (limited()) {
            config.putObject(KEY)
                    .put("format", FORMAT)
                    .put("page", page)
                    .put("pages", pages)
                    .put("dense", dense);
        }
    }

    /// For people.
    public String label() {
        return "%d pages of %d positions and one's own%s"
                .formatted(
                        pages,
                        page,
                        dense == 0
                                ? ""
                                : ", and everything in the first %d blocks".formatted(dense));
    }

    /// Whether a token sees less than the whole text in some block.
    public boolean limited() {
        return pages > 0;
    }

    /// Whether a block, which sees `window` positions or 0 for all, chooses pages.
    boolean chooses(int block, int window) {
        return limited() && block >= dense && window == 0;
    }

    /// Pages with bounds in a cache of so many rows.
    int bounded(int rows) {
        return limited() ? rows / page : 0;
    }

    /// Floats that the bounds of one head take in a cache of so many rows.
    long boundFloats(int rows, int headDim) {
        return 2L * headDim * SIDE_BY_SIDE * Math.ceilDiv(bounded(rows), SIDE_BY_SIDE);
    }
}
