/// Techniques by which a token uses a part of the model's weights, or of the text before it, only
/// ([dev.lithe.technique.Family#SPARSE]).
@NullMarked
package dev.lithe.technique.sparsify;

import org.jspecify.annotations.NullMarked;
