/// Techniques by which a token uses a part of the model's weights only
/// ([dev.lithe.technique.Family#SPARSE]).
@NullMarked
package dev.lithe.technique.sparsify;

import org.jspecify.annotations.NullMarked;
