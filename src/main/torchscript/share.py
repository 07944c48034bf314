# One weight in several places.


def difference(self, x: Tensor, y: Tensor) -> Tensor:
  return x.to(6) - y.to(6)


def mean_of(self, xs: List[Tensor], dtype: int) -> Tensor:
  sum = torch.zeros_like(xs[0], dtype=7)
  for x in xs:
    sum = sum + x.to(7)
  return (sum / float(len(xs))).to(dtype)


def tied_scale(self, E: Tensor, U: Tensor) -> Tensor:
  # (d): what channels of the embedding E (V, d) are multiplied by to come closest to the output layer U (V, d)
  e = E.to(7)
  return torch.sum(e * U.to(7), [0]) / torch.clamp_min(torch.sum(e * e, [0]), 1e-30)


def tied_table(self, E: Tensor, U: Tensor, scale: Tensor, H: Tensor, share: float) -> Tensor:
  # rows t (V, d) float32 that lose least of  share |t - e|² mean(diag DHD) + (1 - share) (t D - u) H (t D - u)ᵀ,  D = diag scale
  G = torch.unsqueeze(scale, 1) * H.to(7) * scale  # D H D
  size = share * torch.mean(torch.diagonal(G))
  A = (1. - share) * G
  D = torch.diagonal(A)
  torch.add_(D, size)
  B = size * E.to(7) + (1. - share) * torch.matmul(U.to(7), H.to(7) * scale)
  return torch.t(torch.linalg_solve(A, torch.t(B))).to(6)


def scaled_norm(self, norm: Tensor, scale: Tensor) -> Tensor:
  return (norm.to(7) * scale).to(6)
