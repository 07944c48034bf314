/// Techniques that store a number once and use it in several places
/// ([dev.lithe.technique.Family#SHARING]): a table in the place of weights, one matrix for two ends
/// of the model, one block for several.
@NullMarked
package dev.lithe.technique.share;

import org.jspecify.annotations.NullMarked;
