# Products of two thin matrices in the place of one. W (N, K) are the weights, H (K, K) is 2/n X Xᵀ of their inputs.


def whitening(self, H: Tensor) -> List[Tensor]:
  # S (K, K) float64 lower with S Sᵀ = H, so that ||(W - W') X||² is ||(W - W') S||² but for a factor. Where H is not positive
  # definite its lowest eigenvalue is lifted to 1e-6 of their mean. Nothing where H says nothing at all.
  G = H.to(7)
  mean = torch.mean(torch.diagonal(G))
  if not bool(torch.isfinite(torch.sum(G))) or float(mean) <= 0.:
    return annotate(List[Tensor], [])
  S, info = torch.linalg_cholesky_ex(G)
  pivots = torch.diagonal(S)
  if int(info) != 0 or float(torch.min(pivots)) < 1e-6 * float(torch.max(pivots)):
    low = torch.clamp_max(torch.linalg_eigvalsh(G)[0], 0.)
    S, info = torch.linalg_cholesky_ex(G + (1e-6 * mean - low) * torch.eye(G.size(0), dtype=7))
    if int(info) != 0:
      return annotate(List[Tensor], [])
  return [S]


def unweighted(self, H: Tensor) -> Tensor:
  return torch.eye(H.size(0), dtype=7)


def channel_scaling(self, H: Tensor, alpha: float) -> List[Tensor]:
  # S (K, K) float64 diagonal: the root mean square of each input, to the power of alpha; inputs that are always 0 count as the
  # smallest of the others
  size = torch.sqrt(torch.clamp_min(torch.diagonal(H).to(7) / 2., 0.))
  seen = size[size > 0.]
  if seen.numel() == 0:
    return annotate(List[Tensor], [])
  return [torch.diag(torch.pow(torch.clamp_min(size, float(torch.min(seen))), alpha))]


def singular_values(self, W: Tensor, S: Tensor) -> Tensor:
  return torch.linalg_svdvals(torch.matmul(W.to(7), S)).to(6)


def balance(self, left: Tensor, right: Tensor, dtype: int) -> List[Tensor]:
  # the same product, each column of `left` as long as its row of `right`, so that neither leaves float16
  a = torch.linalg_vector_norm(left, 2, [0])
  b = torch.linalg_vector_norm(right, 2, [1])
  by = torch.where((a > 0.) & (b > 0.), torch.sqrt(b / torch.clamp_min(a, 1e-30)), torch.zeros_like(a))
  back = torch.where(by > 0., 1. / torch.clamp_min(by, 1e-30), torch.zeros_like(by))
  return [torch.contiguous((left * by).to(dtype)), torch.contiguous((right * torch.unsqueeze(back, 1)).to(dtype))]


def svd_factors(self, W: Tensor, S: Tensor, rank: int, dtype: int) -> List[Tensor]:
  # left (N, r) and right (r, K) of the product that comes closest to W S: U Σ Vᵀ = W S, left = U Σ, right = Vᵀ S⁻¹
  U, s, V = torch.linalg_svd(torch.matmul(W.to(7), S), False)
  left = U[:, :rank] * s[:rank]
  left = torch.where(torch.amax(torch.abs(W), [1], True) == 0., torch.zeros_like(left), left)  # nothing stays nothing
  right = torch.linalg_solve_triangular(S, V[:rank], upper=False, left=False)
  return self.balance(left, right, dtype)


def fit_left(self, W: Tensor, right: Tensor, H: Tensor, dtype: int) -> Tensor:
  # left (N, r) that makes left right closest to W on inputs with these H: W H Rᵀ (R H Rᵀ)⁻¹
  R = right.to(7)
  RH = torch.matmul(R, H.to(7))  # (r, K)
  A = torch.matmul(RH, torch.t(R))
  A = A + 1e-9 * torch.mean(torch.diagonal(A)) * torch.eye(A.size(0), dtype=7)
  return torch.contiguous(torch.t(torch.linalg_solve(A, torch.matmul(RH, torch.t(W.to(7)))))).to(dtype)


def hessian_behind(self, W: Tensor, H: Tensor) -> Tensor:
  # H of what W makes of its inputs: W H Wᵀ (N, N) float32
  return torch.matmul(torch.matmul(W.to(7), H.to(7)), torch.t(W.to(7))).to(6)


def copied(self, x: Tensor) -> Tensor:
  return torch.clone(x)


def sum_of(self, x: Tensor, y: Tensor) -> Tensor:
  return x + y
