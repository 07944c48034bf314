# How far a compressed linear's weights or outputs are from what they were, from some of its rows. W (M, K) are rows as they
# were, Q (M, K) as they are, H (K, K) is 2/n X Xᵀ of the inputs: a row's output error is w H wᵀ of its difference.


def relative_error(self, W: Tensor, Q: Tensor, H: Optional[Tensor]) -> float:
  # ||W X - Q X|| / ||W X||, or ||W - Q|| / ||W|| without H
  w = torch.reshape(W, [-1, W.size(-1)])
  d = w - torch.reshape(Q, [-1, W.size(-1)])
  if H is None:
    return float(torch.sqrt(torch.sum(d * d) / torch.clamp_min(torch.sum(w * w), 1e-30)))
  lost = torch.sum(torch.matmul(d, H) * d)
  return float(torch.sqrt(torch.clamp_min(lost, 0.) / torch.clamp_min(torch.sum(torch.matmul(w, H) * w), 1e-30)))


def nearest_rows(self, W: Tensor, bits: int, group: int, symmetric: bool, steps: int, scale_dtype: int) -> Tensor:
  # W (1, M, K) rounded to nearest, in float32
  w = torch.reshape(W, [-1, W.size(-1)])
  parts = self.rtn(w, bits, group, symmetric, steps, scale_dtype)
  codes = parts[0].to(6) + float(2 ** (bits - 1))
  if symmetric:
    return self.dequantize(codes, parts[1], None, bits)
  return self.dequantize(codes, parts[1], parts[2], bits)


def count_dead(self, H: Tensor) -> int:
  # inputs that no token used
  return int(torch.sum(torch.eq(torch.diagonal(H), 0.)))
