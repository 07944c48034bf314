/// Which variant answers a request: by name, by weight.
@NullMarked
package dev.lithe.route;

import org.jspecify.annotations.NullMarked;
