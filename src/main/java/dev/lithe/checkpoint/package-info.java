/// Hugging Face model folders on disk: safetensors by mapped memory, sharded or single,
/// quantization metadata, and an atomic writer. Reading trusts nothing: every length and offset is
/// checked before it is used.
@NullMarked
package dev.lithe.checkpoint;

import org.jspecify.annotations.NullMarked;
