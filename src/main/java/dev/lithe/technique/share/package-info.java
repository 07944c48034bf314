/// Weights that are stored once and used in several places.
@NullMarked
package dev.lithe.technique.share;

import org.jspecify.annotations.NullMarked;
