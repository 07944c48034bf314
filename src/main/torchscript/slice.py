# Turning the stream into its principal axes and cutting it there. Q (d, k) holds the axes that stay as columns, float64.
# C (d, d) holds moments of the stream as a norm without scale leaves it.


def unscaled_moments(self, H: Tensor, norm: Tensor) -> Tensor:
  # C from the moments H of a normed and scaled stream; what is scaled by 0 is not seen
  scale = torch.where(torch.eq(norm, 0.), torch.zeros_like(norm), torch.reciprocal(norm))
  return H * scale * torch.unsqueeze(scale, 1)


def principal_axes(self, moments: List[Tensor], k: int) -> Tensor:
  # the k eigenvectors of the sum of all C with the largest eigenvalues, the largest first
  C = torch.zeros_like(moments[0], dtype=7)
  for each in moments:
    C = C + each
  _, axes = torch.linalg_eigh(C)
  return torch.contiguous(torch.flip(axes, [1])[:, :k])


def reading_axes(self, C: Tensor, Q: Tensor, damping: float) -> Tensor:
  # R (d, k) = Q + (I - Q Qᵀ) C Q (Qᵀ C Q + λ I)⁻¹: what the axes that go are, on average, beside those that stay
  CQ = torch.matmul(C.to(7), Q)
  G = torch.matmul(torch.t(Q), CQ)
  gone = CQ - torch.matmul(Q, G)
  ridge = damping * float(torch.mean(torch.diagonal(G))) + 1e-30
  damped = G + ridge * torch.eye(G.size(0), dtype=7)
  return Q + torch.t(torch.linalg_solve(damped, torch.t(gone)))


def turned_rows(self, w: Tensor, Q: Tensor, factor: float) -> Tensor:
  # w (n, d) -> w Q, float32; also of a bias (d)
  return torch.matmul(w.to(7) * factor, Q).to(6)


def turned_inputs(self, W: Tensor, norm: Tensor, R: Tensor, factor: float) -> Tensor:
  # W (N, d) that reads the normed stream, with the norm's scale folded in
  return torch.matmul(W.to(7) * norm.to(7) * factor, R).to(6)


def turned_outputs(self, W: Tensor, Q: Tensor) -> Tensor:
  # W (d, K) that adds to the stream
  return torch.matmul(torch.t(Q), W.to(7)).to(6)
