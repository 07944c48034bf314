/// Finds a recipe for limits on size, quality and time: a [dev.lithe.search.Space] of recipes,
/// [dev.lithe.search.Trials] that carry them out and measure them, and the
/// [dev.lithe.search.Search] among them.
@NullMarked
package dev.lithe.search;

import org.jspecify.annotations.NullMarked;
