/// Techniques that store a matrix as a product of thinner ones
/// ([dev.lithe.technique.Family#FACTORIZATION]), which run as they are stored.
@NullMarked
package dev.lithe.technique.factorize;

import org.jspecify.annotations.NullMarked;
