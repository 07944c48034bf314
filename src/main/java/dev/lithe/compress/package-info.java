/// From a recipe to a finished folder: [dev.lithe.compress.Recipe], [dev.lithe.compress.Plan]
/// (checks everything before any work), [dev.lithe.compress.Compressor] (the driver).
@NullMarked
package dev.lithe.compress;

import org.jspecify.annotations.NullMarked;
