/// gRPC services over the engine: requests to domain and back, health, metrics.
@NullMarked
package dev.lithe.serve;

import org.jspecify.annotations.NullMarked;
