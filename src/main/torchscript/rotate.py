# Rotating channels: R = diag(signs) (O ⊗ H) / √p with H the Hadamard matrix of size p, a power of two, and O (m, m)
# orthogonal; d = m p. All in float64: a rotation that is not quite orthogonal would change the model.


def orthogonal(self, gaussian: Tensor) -> Tensor:
  # a random orthogonal matrix, evenly distributed
  Q, R = torch.linalg_qr(gaussian.to(7))
  return Q * torch.sign(torch.diagonal(R))


def rotate_rows(self, x: Tensor, signs: Tensor, O: Tensor) -> Tensor:
  # x (n, d) -> x R, float32; in slices of rows that stay in the cache
  n = x.size(0)
  d = x.size(1)
  m = O.size(0)
  p = d // m
  slice = max(1, 131072 // d)
  out = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    y = x[first:first + slice].to(7) * signs
    rows = y.size(0)
    half = 1
    while half < p:
      y = torch.reshape(y, [-1, 2, half])
      y = torch.stack([y[:, 0] + y[:, 1], y[:, 0] - y[:, 1]], 1)
      half = 2 * half
    y = torch.matmul(O, torch.reshape(y, [rows, m, p])) / float(p) ** 0.5
    out.append(torch.reshape(y, [rows, d]).to(6))
  return torch.cat(out, 0)


def rotate_inputs(self, w: Tensor, norm: Tensor, signs: Tensor, O: Tensor) -> Tensor:
  # W (N, d) that reads a normed stream, with the norm's scale folded in
  return self.rotate_rows(w.to(7) * norm.to(7), signs, O)


def rotate_outputs(self, w: Tensor, signs: Tensor, O: Tensor) -> Tensor:
  # W (d, K) that adds to the stream
  return torch.contiguous(torch.t(self.rotate_rows(torch.t(w), signs, O)))


def rotate_bias(self, b: Tensor, signs: Tensor, O: Tensor) -> Tensor:
  # a bias (n d)
  return torch.reshape(self.rotate_rows(torch.reshape(b, [-1, signs.size(0)]), signs, O), b.size())


def rotate_head_inputs(self, w: Tensor, signs: Tensor, O: Tensor) -> Tensor:
  # W (N, h hd) that reads heads, each rotated by itself
  return torch.reshape(self.rotate_rows(torch.reshape(w, [-1, signs.size(0)]), signs, O), w.size())


def rotate_head_outputs(self, w: Tensor, signs: Tensor, O: Tensor) -> Tensor:
  # W (g hd, K) that makes them
  return torch.contiguous(torch.t(self.rotate_head_inputs(torch.contiguous(torch.t(w)), signs, O)))
