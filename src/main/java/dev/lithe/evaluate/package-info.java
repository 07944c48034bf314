/// Quality and latency of one model against another, measured from what is on disk: perplexity,
/// divergence, paired latency, bootstrap intervals.
@NullMarked
package dev.lithe.evaluate;

import org.jspecify.annotations.NullMarked;
