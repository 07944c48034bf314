/// Techniques that store weights in fewer bits.
@NullMarked
package dev.lithe.technique.quantize;

import org.jspecify.annotations.NullMarked;
