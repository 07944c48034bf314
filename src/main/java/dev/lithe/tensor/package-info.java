/// The only place that names DJL's PyTorch engine: start-up and device ([dev.lithe.tensor.Torch]),
/// the TorchScript module ([dev.lithe.tensor.Kernels]), and who frees what
/// ([dev.lithe.tensor.TensorScope]). Everything else sees opaque [dev.lithe.tensor.Value]s. Why so:
/// libtorch reaches every ATen operation through TorchScript, and DJL's own array class does not
/// (no Cholesky, no bfloat16, no packed integers).
@NullMarked
package dev.lithe.tensor;

import org.jspecify.annotations.NullMarked;
