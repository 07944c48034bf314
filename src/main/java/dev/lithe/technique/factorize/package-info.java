/// Linears as products of two thin ones, of their own or with factors in common.
@NullMarked
package dev.lithe.technique.factorize;

import org.jspecify.annotations.NullMarked;
