# GPTQ: columns are quantized one after the other, and what each loses is made up for by those that follow. W (N, K) are the
# weights, H (K, K) is 2/n X Xᵀ of their inputs.


def gptq_order(self, cost: Tensor, group: int) -> Tensor:
  # Important columns first, without tearing a group apart: groups by their most important column, columns within a group by
  # their own importance. So a group's scale can be found from the weights as moved so far, and stays where it is stored.
  grouped = torch.reshape(cost, [-1, group])
  first = torch.unsqueeze(torch.arange(0, cost.size(0), group), 1)
  columns = torch.argsort(grouped, dim=1, descending=True, stable=True) + first  # (K / group, group)
  groups = torch.argsort(torch.amax(grouped, [1]), dim=0, descending=True, stable=True)
  return torch.reshape(torch.index_select(columns, 0, groups), [-1])


def gptq_factor(self, H: Tensor, group: int, act_order: bool, damping: float) -> List[Tensor]:
  # -> the order of the columns (K) int64, the cost of an error in each (K), and U (K, K), upper, with
  # UᵀU = (H + damping mean(diag H) I)⁻¹ in that order; nothing where H is not positive definite.
  # One Cholesky factorization serves: of H with rows and columns reversed, LLᵀ. Reversed again L is upper, H = RRᵀ, U = R⁻¹.
  K = H.size(0)
  cost = torch.diagonal(H).clone()
  order = torch.arange(K)
  if act_order:
    order = self.gptq_order(cost, group)
  A = torch.index_select(torch.index_select(H, 0, order), 1, order)
  D = torch.diagonal(A)
  torch.add_(D, torch.eq(D, 0.).to(6) + damping * torch.mean(cost))
  L, info = torch.linalg_cholesky_ex(torch.flip(A, [0, 1]))
  if int(info) != 0:
    return annotate(List[Tensor], [])
  U = torch.linalg_solve_triangular(torch.flip(L, [0, 1]), torch.eye(K), upper=True)
  if not bool(torch.isfinite(torch.sum(U))):
    return annotate(List[Tensor], [])
  return [order, cost, U]


def gptq(self, W: Tensor, order: Tensor, cost: Tensor, U: Tensor, bits: int, group: int, symmetric: bool, block: int,
         steps: int, scale_dtype: int) -> List[Tensor]:
  # -> signed q (N, K) int8, scale (N, K / group), and zero (N, K / group) int32 when asymmetric. The order keeps the columns
  # of a group together; a group is a multiple of the block or divides it, or is the whole row. Dead inputs lose their weights.
  N = W.size(0)
  K = W.size(1)
  half = float(2 ** (bits - 1))
  W = torch.masked_fill(W.to(6), torch.eq(cost, 0.), 0.)
  V = torch.contiguous(torch.t(torch.index_select(W, 1, order)))  # (K, N): a column of W is a row here
  weight = torch.reshape(torch.index_select(cost, 0, order), [-1, 1, 1, group])
  stored = torch.floor_divide(order, group)
  Q = torch.zeros_like(V)
  S = torch.ones([K // group, N])
  Z = torch.zeros([K // group, N])
  s = S[0]
  z = Z[0]
  for first in range(0, K, block):
    last = min(first + block, K)
    E = torch.zeros_like(V[first:last])
    for i in range(first, last):
      if i % group == 0:
        x = torch.unsqueeze(torch.t(V[i:i + group]), 1)  # (N, 1, group)
        scale, zero = self.group_scale(x, weight[i // group], bits, symmetric, steps, scale_dtype)
        s = torch.reshape(scale, [N])
        z = torch.reshape(zero, [N])
        j = int(stored[i])
        torch.copy_(S[j], s)
        torch.copy_(Z[j], z)
      q = torch.clamp(torch.round(V[i] / s) + z, -half, half - 1.)
      e = (V[i] - (q - z) * s) / U[i, i]
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
