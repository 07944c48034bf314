/// Generation: sequences, sampling, and the one platform thread that owns libtorch while serving.
///
/// [Session] is the plain way to run one sequence on the caller's thread. [Engine] runs many: the
/// running ones of a model are a [Lane], which decodes a token for all of them together
/// ([Decoding], by another model's guesses where there is a [Speculation]) and reads prompts in
/// between ([Prefill]), in slices that [Pace] measures; models take turns by time and weight
/// ([Scheduler]); all caches share one limit ([CacheMemory]), and those of ended sequences are kept
/// for prompts that begin alike ([PrefixCache]). Text leaves through [TokenStream], which cuts it
/// between characters and before stop strings.
@NullMarked
package dev.lithe.engine;

import org.jspecify.annotations.NullMarked;
