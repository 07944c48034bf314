# Attention over the first S positions, the sinks; the H of those behind them that have got the most attention; and the last W.
# They lie in the first R = S + H + W rows of a cache, in the order of their positions, and keys and queries have the angles of
# their rows: what is in row r stands at position r. A token that finds them all full frees 16: of what left the window with the
# last ones, 16 rows, and of the H that were kept before, those H stay that have got the most, and what lies behind moves up.
#
#   cache  [k, v, sums]: (B, g, R, hd), the same, and (B, g, 1, R) float64: the sum over all queries so far, of all heads that
#          read it, of what they gave to a row


def row_of(self, position: int, rows: int) -> int:
  return position if position < rows else rows - 16 + (position - rows) % 16


def free_rows(self, cache: List[Tensor], cos: Tensor, sin: Tensor, sinks: int, heavy: int, rows: int) -> int:
  # cos and sin (S, r / 2), of all positions
  k = cache[0]
  v = cache[1]
  sums = cache[2]
  left = sinks + heavy + 16
  most = torch.argsort(sums[:, :, 0, sinks:left], dim=2, descending=True, stable=True)[:, :, :heavy]
  stay = torch.sort(most, 2)[0] + sinks  # (B, g, H)
  window = torch.expand(torch.arange(left, rows, device=k.device), [k.size(0), k.size(1), rows - left])
  old = torch.cat([stay, window], 2)
  back = old - torch.arange(sinks, rows - 16, device=k.device)
  index = torch.expand(torch.unsqueeze(old, 3), [k.size(0), k.size(1), old.size(2), k.size(3)])
  # tables may be stretched; cos[0] says by how much
  k[:, :, sinks:rows - 16] = self.rotate(torch.gather(k, 2, index), cos[back] / cos[0], -sin[back] / cos[0])
  v[:, :, sinks:rows - 16] = torch.gather(v, 2, index)
  sums[:, :, :, sinks:rows - 16] = torch.gather(sums, 3, torch.unsqueeze(old, 2))
  return rows - 16


def attend_rows(self, q: Tensor, cache: List[Tensor], n: int, own: int, cap: float) -> Tensor:
  # q (B, h, T, hd) of the last T of n rows -> (B, T, h hd); own > 0 is how many rows a block with a window sees
  B = q.size(0)
  h = q.size(1)
  T = q.size(2)
  hd = q.size(3)
  k = cache[0][:, :, :n]
  g = k.size(1)
  # the queries of a group share its keys
  scores = torch.matmul(torch.reshape(q, [B, g, h // g * T, hd]), torch.transpose(k, 2, 3))
  scores = self.capped(torch.reshape(scores, [B, g, h // g, T, n]) / float(hd) ** 0.5, cap)
  if T > 1 or own > 0:
    back = torch.unsqueeze(torch.arange(n - T, n, device=q.device), 1) - torch.arange(n, device=q.device)
    hidden = torch.lt(back, 0)
    if own > 0:
      hidden = torch.logical_or(hidden, torch.ge(back, own))
    scores = torch.masked_fill(scores, hidden, float("-inf"))
  p = torch.softmax(scores, -1)
  torch.add_(cache[2][:, :, 0, :n], torch.sum(p, [2, 3], False, dtype=7))
  o = torch.matmul(torch.reshape(p, [B, g, h // g * T, n]), cache[1][:, :, :n])
  return torch.reshape(torch.transpose(torch.reshape(o, [B, h, T, hd]), 1, 2), [B, T, h * hd])


def attend_heavy(self, q: Tensor, k: Tensor, v: Tensor, counts: List[int], positions: List[int], caches: List[List[Tensor]],
                 heads: List[int], cos: Tensor, sin: Tensor, own: int, cap: float) -> Tensor:
  # q (B, h, T, hd), k and v (B, g, T, hd), not yet turned: counts[i] tokens of each cache i -> (B, T, h hd). At most 256 queries
  # at a time, for their scores take memory
  sinks = heads[4]
  heavy = heads[-1]
  rows = sinks + heavy + heads[5]
  o = annotate(List[Tensor], [])
  first = 0
  for i in range(len(counts)):
    cache = caches[i]
    position = positions[i]
    end = first + counts[i]
    while first < end:
      row = self.row_of(position, rows)
      if position >= rows and row == rows - 16:
        freed = self.free_rows(cache, cos, sin, sinks, heavy, rows)
      count = min(min(end - first, rows - row), 256)
      n = row + count
      last = first + count
      c = cos[row:n]
      s = sin[row:n]
      cache[0][:, :, row:n] = self.rotate(k[:, :, first:last], c, s)
      cache[1][:, :, row:n] = v[:, :, first:last]
      torch.zero_(cache[2][:, :, :, row:n])
      o.append(self.attend_rows(self.rotate(q[:, :, first:last], c, s), cache, n, own, cap))
      position = position + count
      first = last
  return o[0] if len(o) == 1 else torch.cat(o, 1)


def new_sums(self, batch: int, heads: int, capacity: int, blocks: int, device: str) -> List[Tensor]:
  return [torch.zeros([batch, heads, 1, capacity], dtype=7, device=torch.device(device)) for i in range(blocks)]
