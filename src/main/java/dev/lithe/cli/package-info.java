/// One class per command, and the mapping from faults to exit codes.
@NullMarked
package dev.lithe.cli;

import org.jspecify.annotations.NullMarked;
