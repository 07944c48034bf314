# Pruning: which weights stay, as a mask (N, K) of booleans. W is (N, K), H (K, K) as in gptq.py.


def magnitude(self, W: Tensor) -> Tensor:
  return torch.abs(W.to(6))


def activated_magnitude(self, W: Tensor, H: Tensor) -> Tensor:
  # |w| times the root mean square of its input, a factor of sqrt(2) aside
  return torch.abs(W.to(6)) * torch.sqrt(torch.diagonal(H))


def outlier_share(self, scores: List[Tensor], times: float) -> float:
  # the share of all scores that lie above `times` their mean
  sum = 0.
  n = 0
  for s in scores:
    sum = sum + float(torch.sum(s))
    n = n + s.numel()
  above = 0
  for s in scores:
    above = above + int(torch.sum(s > times * sum / n))
  return float(above) / n


def keep_largest(self, score: Tensor, zeros: int) -> Tensor:
  # score (R, C) -> a mask that leaves out the `zeros` smallest of each row
  drop = torch.topk(score, zeros, 1, False, False)[1]
  return torch.scatter(torch.ones_like(score, dtype=11), 1, drop, 0)


def keep_in_rows(self, score: Tensor, width: int, zeros: int) -> Tensor:
  # the same within each `width` scores that lie side by side
  return torch.reshape(self.keep_largest(torch.reshape(score, [-1, width]), zeros), score.size())


def zero_out(self, W: Tensor, keep: Tensor) -> Tensor:
  return torch.masked_fill(W, ~keep, 0.)


def moved_weights(self, own: Tensor, C: Tensor, d: Tensor) -> Tensor:
  # Columns (c, N) as the best answer to what the ones before them lost, when they themselves lose nothing; own (c, c) is
  # their part of T, C how far their targets have moved, d what they were
  return torch.linalg_solve_triangular(torch.t(own), C, upper=False, unitriangular=True) + d


def sparsegpt(self, W: Tensor, cost: Tensor, T: Tensor, pivot: Tensor, block: int, sparsity: float, keep: int, of: int,
              bits: int, group: int, steps: int, scale_dtype: int) -> List[Tensor]:
  # -> pruned weights (N, K) float32 and their mask; with bits, signed codes (N, K) int8 and scale (N, K / group) instead of
  # the weights. The column loop is gptq.py's, with the columns in their own order. A weight costs its square times `pivot`;
  # the share `sparsity` of each block that costs least is left out, or where `of` > 0 all but `keep` of each `of` columns.
  # `of` and `group` divide `block`, or `block` divides `group`.
  N = W.size(0)
  K = W.size(1)
  D = torch.contiguous(torch.t(torch.masked_fill(W, torch.eq(cost, 0.), 0.))).to(6)  # (K, N); what was lost takes its place
  M = torch.ones([K, N], dtype=11)
  Q = torch.empty([K, N])
  S = torch.ones([K // group if bits > 0 else 1, N])
  half = float(2 ** (bits - 1)) if bits > 0 else 0.
  s = S[0]
  for first in range(0, K, block):
    last = min(first + block, K)
    C = torch.matmul(torch.t(T[:first, first:last]), D[:first])
    if of == 0:
      w = self.moved_weights(T[first:last, first:last], C, D[first:last])
      score = torch.reshape(torch.square(w) * torch.unsqueeze(pivot[first:last], 1), [1, -1])
      chosen = self.keep_largest(score, int(float(N * (last - first)) * sparsity))
      torch.copy_(M[first:last], torch.reshape(chosen, [last - first, N]))
    for i in range(first, last):
      if of > 0 and i % of == 0:
        w = self.moved_weights(T[i:i + of, i:i + of], C[i - first:i - first + of], D[i:i + of])
        score = torch.t(torch.square(w) * torch.unsqueeze(pivot[i:i + of], 1))  # (N, of)
        torch.copy_(M[i:i + of], torch.t(self.keep_largest(score, of - keep)))
      if bits > 0 and i % group == 0:
        b = min(i + group, last)
        w = self.moved_weights(T[i:b, i:b], C[i - first:b - first], D[i:b])
        if of == 0:
          w = torch.masked_fill(w, ~M[i:b], 0.)
        weight = torch.reshape(cost[i:b], [1, -1, 1])
        s, z = self.row_scales(w, weight, bits, True, steps, scale_dtype)
        torch.copy_(S[i // group], s)
      d = D[i]
      q = torch.masked_fill(d + C[i - first], ~M[i], 0.)
      if bits > 0:
        q = torch.clamp_(torch.round_(q / s), -half, half - 1.)
        torch.copy_(Q[i], q)
        q = q * s
      else:
        torch.copy_(Q[i], q)
      torch.sub_(d, q)
      torch.addr_(C[i + 1 - first:], T[i, i + 1:last], d, beta=1, alpha=1)
  q = torch.contiguous(torch.t(Q))
  mask = torch.contiguous(torch.t(M))
  if bits > 0:
    return [q.to(1), torch.contiguous(torch.t(S)).to(scale_dtype), mask]
  return [q, mask]


def pack_masked(self, W: Tensor, keep: Tensor, dtype: int) -> List[Tensor]:
  # -> the mask as a little-endian bit stream per row (N, ceil(K / 32)) int32, and the weights that it keeps, row by row
  return [self.pack(keep, 1), torch.masked_select(W.to(dtype), keep)]


def masked_values(self, W: Tensor, mask: Tensor) -> Tensor:
  # what a mask (N, ceil(K / 32)) int32 keeps of W (N, K), row by row
  return torch.masked_select(torch.detach(W), self.unpack(mask, 1, W.size(1)).to(11))


def count_kept(self, mask: Tensor, k: int) -> int:
  return int(torch.sum(self.unpack(mask, 1, k)))


def expand_masked(self, mask: Tensor, values: Tensor, k: int) -> Tensor:
  # -> (N, K) float32
  keep = self.unpack(mask, 1, k).to(11)
  return torch.masked_scatter(torch.zeros(keep.size()), keep, values.to(6))
