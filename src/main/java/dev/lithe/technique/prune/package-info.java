/// Techniques that set weights to zero ([dev.lithe.technique.Family#PRUNING]): which ones is
/// decided by what each costs, and what is left may make up for them. Shapes stay as they are.
@NullMarked
package dev.lithe.technique.prune;

import org.jspecify.annotations.NullMarked;
