/// gRPC services over the engine: requests to domain and back, health, metrics.
///
/// The services are plain grpc-java on Quarkus's separate server, where a cancelled or late call is
/// told of at once; that stops its computation at the next token. Handlers run on the network's
/// threads and only hand over: [Preparation] tokenizes, the engine computes, and its listeners
/// send. Nothing here waits for a client: a connection that takes no more stops its own sequence.
/// Errors are statuses with google.rpc details, made in one place ([Statuses]).
@NullMarked
package dev.lithe.serve;

import org.jspecify.annotations.NullMarked;
