# GPTQ: columns are quantized one after the other, and what each loses is made up for by those that follow. W (N, K) are the
# weights, H (K, K) is 2/n X Xᵀ of their inputs.


def gptq_factor(self, H: Tensor, act_order: bool, damping: float) -> List[Tensor]:
  # -> the order of the columns (K) int64, the cost of an error in each (K), dead columns (K) bool, and U (K, K), upper,
  # with UᵀU = (H + damping mean(diag H) I)⁻¹ in that order; nothing where H is not positive definite.
  # One Cholesky factorization serves: of H with rows and columns reversed, LLᵀ. Reversed again L is upper, H = RRᵀ, U = R⁻¹.
  cost = torch.diagonal(H).clone()
  dead = torch.eq(cost, 0.)
  order = torch.arange(H.size(0), dtype=4)
  if act_order:
    order = torch.argsort(cost, dim=0, descending=True, stable=True)
  A = torch.index_select(torch.index_select(H, 0, order), 1, order)
  D = torch.diagonal(A)
  damp = damping * torch.mean(D)
  torch.add_(D, torch.eq(D, 0.).to(6))
  torch.add_(D, damp)
  L, info = torch.linalg_cholesky_ex(torch.flip(A, [0, 1]))
  if int(info) != 0:
    return annotate(List[Tensor], [])
  U = torch.linalg_solve_triangular(torch.flip(L, [0, 1]), torch.eye(H.size(0)), upper=True)
  if not bool(torch.isfinite(torch.sum(U))):
    return annotate(List[Tensor], [])
  return [order, cost, dead, U]


def gptq(self, W: Tensor, order: Tensor, cost: Tensor, dead: Tensor, U: Tensor, bits: int, group: int, symmetric: bool,
         static: bool, block: int, steps: int, scale_dtype: int) -> List[Tensor]:
  # -> signed q (N, K) int8, scale (N, K / group), and zero (N, K / group) int32 when asymmetric. With `static` the scales of
  # all groups are fixed before the first column, so that the order may be any; else each group's is found when its first
  # column is reached, and the order must be the weights' own. A group is a multiple of the block or divides it.
  N = W.size(0)
  K = W.size(1)
  half = float(2 ** (bits - 1))
  W = torch.masked_fill(W.to(6), dead, 0.)
  if static:
    x = torch.reshape(W, [N, -1, group])
    S, Z = self.group_scale(x, torch.reshape(cost, [1, -1, group]), bits, symmetric, steps, scale_dtype)
    S = torch.contiguous(torch.t(torch.squeeze(S, 2)))  # (K / group, N)
    Z = torch.contiguous(torch.t(torch.squeeze(Z, 2)))
  else:
    S = torch.ones([K // group, N])
    Z = torch.zeros([K // group, N])
  column_group = torch.floor_divide(order, group)
  V = torch.contiguous(torch.t(torch.index_select(W, 1, order)))  # (K, N): a column of W is a row here
  Q = torch.zeros_like(V)
  for first in range(0, K, block):
    last = min(first + block, K)
    E = torch.zeros_like(V[first:last])
    for i in range(first, last):
      j = int(column_group[i])
      if not static and i % group == 0:
        x = torch.unsqueeze(torch.t(V[i:i + group]), 1)  # (N, 1, group)
        s, z = self.group_scale(x, torch.reshape(cost[i:i + group], [1, 1, group]), bits, symmetric, steps, scale_dtype)
        torch.copy_(S[j], torch.reshape(s, [N]))
        torch.copy_(Z[j], torch.reshape(z, [N]))
      q = torch.clamp(torch.round(V[i] / S[j]) + Z[j], -half, half - 1.)
      e = (V[i] - (q - Z[j]) * S[j]) / U[i, i]
      torch.copy_(Q[i], q)
      torch.copy_(E[i - first], e)
      torch.addr_(V[i:last], U[i, i:last], e, beta=1, alpha=-1)
    if last < K:
      torch.addmm_(V[last:], torch.t(U[first:last, last:]), E, beta=1, alpha=-1)
  q = torch.contiguous(torch.t(torch.index_select(Q, 0, torch.argsort(order)))).to(1)
  scale = torch.contiguous(torch.t(S)).to(scale_dtype)
  if symmetric:
    return [q, scale]
  return [q, scale, torch.contiguous(torch.t(Z)).to(3)]
