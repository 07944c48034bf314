# What activation_sparsity measures.


def some_magnitudes(self, x: Tensor, step: int) -> Tensor:
  # x (B, T, K), of which every step-th token is taken -> |x|, flat
  return torch.reshape(torch.abs(torch.reshape(x, [-1, x.size(2)])[::step]), [-1])


def squared_distance(self, x: Tensor, y: Tensor) -> float:
  return float(torch.sum(torch.square(x - y)))
