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
  # -> the order of the columns (K) int64, the cost of an error in each (K), T (K, K), and the squared diagonal of R (K);
  # nothing where H is not positive definite. In that order H + damping mean(diag H) I = RRᵀ with R upper, and T is R with
  # each column divided by its diagonal element. R comes from the Cholesky factor of H with rows and columns reversed.
  K = H.size(0)
  cost = torch.diagonal(H).clone()
  order = torch.arange(K)
  if act_order:
    order = self.gptq_order(cost, group)
  reverse = torch.flip(order, [0])
  A = torch.index_select(torch.index_select(H, 0, reverse), 1, reverse)
  D = torch.diagonal(A)
  torch.add_(D, torch.eq(D, 0.).to(6) + damping * torch.mean(cost))
  L, info = torch.linalg_cholesky_ex(A)
  if int(info) != 0:
    return annotate(List[Tensor], [])
  T = torch.flip(L, [0, 1])
  pivot = torch.square(torch.diagonal(T))
  torch.div_(T, torch.clone(torch.diagonal(T)))
  if not bool(torch.isfinite(torch.sum(T))):
    return annotate(List[Tensor], [])
  return [order, cost, T, pivot]


def gptq(self, W: Tensor, order: Tensor, cost: Tensor, T: Tensor, bits: int, group: int, symmetric: bool, block: int,
         step: int, steps: int, scale_dtype: int) -> List[Tensor]:
  # -> signed q (N, K) int8, scale (N, K / group), and zero (N, K / group) int32 when asymmetric. The order keeps the columns
  # of a group together. A block is whole groups; a step is whole groups, or divides one. Dead inputs lose their weights.
  N = W.size(0)
  K = W.size(1)
  half = float(2 ** (bits - 1))
  # (K, N): a column of W is a row here; once quantized, what it lost takes its place
  D = torch.contiguous(torch.t(torch.index_select(torch.masked_fill(W, torch.eq(cost, 0.), 0.), 1, order))).to(6)
  weight = torch.reshape(torch.index_select(cost, 0, order), [-1, 1, group, 1])
  stored = torch.floor_divide(order, group)
  Q = torch.empty([K, N], dtype=1)
  S = torch.ones([K // group, N])
  Z = torch.zeros([K // group, N])
  s = S[0]
  z = Z[0]
  for first in range(0, K, block):
    last = min(first + block, K)
    C = torch.matmul(torch.t(T[:first, first:last]), D[:first])  # how far the columns' targets have moved
    for a in range(first, last, step):
      b = min(a + step, last)
      for i in range(a, b):
        if i % group == 0:
          # the group's weights as the best answer to the losses before it: quantized exactly, they would cost nothing more
          own = torch.t(T[i:i + group, i:i + group])
          moved = torch.linalg_solve_triangular(own, C[i - first:i - first + group], upper=False, unitriangular=True)
          s, z = self.row_scales(torch.add_(moved, D[i:i + group]), weight[i // group], bits, symmetric, steps, scale_dtype)
          j = int(stored[i])
          torch.copy_(S[j], s)
          torch.copy_(Z[j], z)
        d = D[i]
        q = torch.round_(torch.div_(d + C[i - first], s))
        if not symmetric:
          torch.add_(q, z)
        torch.clamp_(q, -half, half - 1.)
        torch.copy_(Q[i], q)
        if not symmetric:
          torch.sub_(q, z)
        torch.addcmul_(d, q, s, value=-1.)
        torch.addr_(C[i + 1 - first:b - first], T[i, i + 1:b], d, beta=1, alpha=1)
      torch.addmm_(C[b - first:], torch.t(T[a:b, b:last]), D[a:b], beta=1, alpha=1)
  q = torch.contiguous(torch.t(torch.index_select(Q, 0, torch.argsort(order))))
  scale = torch.contiguous(torch.t(S)).to(scale_dtype)
  if symmetric:
    return [q, scale]
  return [q, scale, torch.contiguous(torch.t(Z)).to(3)]


def row_scales(self, x: Tensor, weight: Tensor, bits: int, symmetric: bool, steps: int,
               scale_dtype: int) -> Tuple[Tensor, Tensor]:
  # x (group, N) -> scale and zero (N). In slices that stay in the cache, and that two threads share: libtorch gives each
  # 32768 elements.
  parts = x.numel() // 98304 + 1
  slice = max(1, (x.size(1) + parts - 1) // parts)
  scales = annotate(List[Tensor], [])
  zeros = annotate(List[Tensor], [])
  for first in range(0, x.size(1), slice):
    s, z = self.group_scale(torch.unsqueeze(x[:, first:first + slice], 0), weight, bits, symmetric, steps, scale_dtype)
    scales.append(torch.reshape(s, [-1]))
    zeros.append(torch.reshape(z, [-1]))
  return (torch.cat(scales, 0), torch.cat(zeros, 0))
