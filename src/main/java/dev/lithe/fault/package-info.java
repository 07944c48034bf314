/// One exception type with a code. Every other room reports trouble through it, so that the edges
/// (command line, gRPC) can turn a code into an exit status or a call status by one exhaustive
/// switch.
@NullMarked
package dev.lithe.fault;

import org.jspecify.annotations.NullMarked;
