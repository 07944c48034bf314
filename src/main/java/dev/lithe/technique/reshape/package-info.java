/// Techniques that change the architecture ([dev.lithe.technique.Family#ARCHITECTURE]): fewer
/// blocks, narrower ones, fewer heads, a smaller vocabulary. The result is the same kind of model
/// with other numbers in its `config.json`, which any loader opens.
@NullMarked
package dev.lithe.technique.reshape;

import org.jspecify.annotations.NullMarked;
