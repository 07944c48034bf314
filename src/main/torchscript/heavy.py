# Attention over the first S positions, the sinks; the H of those behind them that have got the most attention; and the last W.
# They lie in the first R = S + H + W rows of a cache, in their order. A token that finds them all full frees 8: of what left the
# window with the last ones, 8 rows, and of the H that were kept before, those H stay that have got the most, and what lies behind
# moves up. Keys and queries have the angles of their places: position j of the text as long as that is below P, then all but the
# sinks move down by 8 when rows are freed, though none below S, so that a distance is a true one or nearly P.
#
#   heads  [.., S, W, .., H, P], as in decoder.py
#   cache  [k, v, sums]: (B, g, R, hd), the same, and (B, g, 2, R) float64: the sum over all queries so far, of all heads that
#          read it, of what they gave to a row; and its place


def row_of(self, position: int, rows: int) -> int:
  # the row of a position when it is written, and its place, of P rows
  return position if position < rows else rows - 8 + (position - rows) % 8


def free_rows(self, cache: List[Tensor], cos: Tensor, sin: Tensor, sinks: int, heavy: int, rows: int, down: int) -> int:
  # cos and sin (S, r / 2), of all places
  k = cache[0]
  v = cache[1]
  sums = cache[2]
  left = sinks + heavy + 8
  most = torch.argsort(sums[:, :, 0, sinks:left], dim=2, descending=True, stable=True)[:, :, :heavy]
  stay = torch.sort(most, 2)[0] + sinks  # (B, g, H)
  window = torch.expand(torch.arange(left, rows, device=k.device), [k.size(0), k.size(1), rows - left])
  old = torch.cat([stay, window], 2)
  index = torch.expand(torch.unsqueeze(old, 3), [k.size(0), k.size(1), old.size(2), k.size(3)])
  keys = torch.gather(k, 2, index)
  place = torch.gather(sums[:, :, 1], 2, old)
  if down > 0:
    lower = torch.clamp_min(place - float(down), float(sinks))
    back = (place - lower).to(4)
    # tables may be stretched; cos[0] says by how much
    keys = self.rotate(keys, cos[back] / cos[0], -sin[back] / cos[0])
    place = lower
  sums[:, :, 0, sinks:rows - 8] = torch.gather(sums[:, :, 0], 2, old)
  sums[:, :, 1, sinks:rows - 8] = place
  v[:, :, sinks:rows - 8] = torch.gather(v, 2, index)
  k[:, :, sinks:rows - 8] = keys
  return rows - 8


def attend_rows(self, q: Tensor, cache: List[Tensor], place: int, n: int, own: int, cap: float) -> Tensor:
  # q (B, h, T, hd) of the last T of n rows, the first of them at `place` -> (B, T, h hd); own > 0 is how far a block with a
  # window of its own sees
  B = q.size(0)
  h = q.size(1)
  T = q.size(2)
  hd = q.size(3)
  k = cache[0][:, :, :n]
  g = k.size(1)
  # the queries of a group share its keys
  scores = torch.matmul(torch.reshape(q, [B, g, h // g * T, hd]), torch.transpose(k, 2, 3))
  scores = self.capped(torch.reshape(scores, [B, g, h // g, T, n]) / float(hd) ** 0.5, cap)
  if T > 1:
    behind = torch.unsqueeze(torch.arange(n - T, n, device=q.device), 1) - torch.arange(n, device=q.device)
    scores = torch.masked_fill(scores, torch.lt(behind, 0), float("-inf"))
  if own > 0:
    at = torch.reshape(torch.arange(place, place + T, device=q.device), [1, 1, 1, T, 1])
    back = at - torch.reshape(cache[2][:, :, 1, :n], [B, g, 1, 1, n])
    scores = torch.masked_fill(scores, torch.ge(back, own), float("-inf"))
  p = torch.softmax(scores, -1)
  torch.add_(cache[2][:, :, 0, :n], torch.sum(p, [2, 3], False, dtype=7))
  o = torch.matmul(torch.reshape(p, [B, g, h // g * T, n]), cache[1][:, :, :n])
  return torch.reshape(torch.transpose(torch.reshape(o, [B, h, T, hd]), 1, 2), [B, T, h * hd])


def attend_heavy(self, q: Tensor, k: Tensor, v: Tensor, counts: List[int], positions: List[int], caches: List[List[Tensor]],
                 shape: __torch__.Shape, cos: Tensor, sin: Tensor, own: int, cap: float) -> Tensor:
  # q (B, h, T, hd), k and v (B, g, T, hd), not yet turned: counts[i] tokens of each cache i -> (B, T, h hd). At most 256 queries
  # at a time, for their scores take memory
  sinks = shape.sinks
  heavy = shape.heavy
  places = shape.places
  rows = sinks + heavy + shape.window
  o = annotate(List[Tensor], [])
  first = 0
  for i in range(len(counts)):
    cache = caches[i]
    position = positions[i]
    end = first + counts[i]
    while first < end:
      row = self.row_of(position, rows)
      if position >= rows and row == rows - 8:
        freed = self.free_rows(cache, cos, sin, sinks, heavy, rows, 8 if position >= places else 0)
      count = min(min(end - first, rows - row), 256)
      n = row + count
      last = first + count
      place = self.row_of(position, places)
      c = cos[place:place + count]
      s = sin[place:place + count]
      cache[0][:, :, row:n] = self.rotate(k[:, :, first:last], c, s)
      cache[1][:, :, row:n] = v[:, :, first:last]
      torch.zero_(cache[2][:, :, 0, row:n])
      cache[2][:, :, 1, row:n] = torch.arange(place, place + count, dtype=7, device=k.device)
      o.append(self.attend_rows(self.rotate(q[:, :, first:last], c, s), cache, place, n, own, cap))
      position = position + count
      first = last
  return o[0] if len(o) == 1 else torch.cat(o, 1)


def new_sums(self, batch: int, heads: int, capacity: int, blocks: int, device: str) -> List[Tensor]:
  return [torch.zeros([batch, heads, 2, capacity], dtype=7, device=torch.device(device)) for i in range(blocks)]
