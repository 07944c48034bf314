/// Generation: sequences, sampling, and the one platform thread that owns libtorch while serving.
///
/// [Session] is the plain way to run one sequence on the caller's thread; [Engine] runs many, each
/// with a session of its own, one token in turn. Text leaves through [TokenStream], which cuts it
/// between characters and before stop strings.
@NullMarked
package dev.lithe.engine;

import org.jspecify.annotations.NullMarked;
