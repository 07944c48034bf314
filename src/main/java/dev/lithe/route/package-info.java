/// Which variant answers a request: the one it names in a field or in its metadata, else the one
/// its key belongs to, else one drawn by weight. A route tells the reason, so that answers can be
/// told apart in an experiment; counts are tested against the weights.
@NullMarked
package dev.lithe.route;

import org.jspecify.annotations.NullMarked;
