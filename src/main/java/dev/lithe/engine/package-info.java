/// Generation: sequences, sampling, and the one platform thread that owns libtorch while serving.
@NullMarked
package dev.lithe.engine;

import org.jspecify.annotations.NullMarked;
