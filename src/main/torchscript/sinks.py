# Attention over the first S positions, the sinks, and the last W, whose keys and values take the same memory however long a text
# gets. Row i of a cache of C rows holds position i; beyond C, position j lies in row S + (j - S) mod (C - S). A key keeps the
# angles of its own position; a query has those of its own before the window, and before the sinks those of S + W - 1 at most.


def ring_row(self, position: int, rows: int, sinks: int) -> int:
  return position if position < rows else sinks + (position - sinks) % (rows - sinks)


def write_ring(self, k: Tensor, v: Tensor, position: int, cache: List[Tensor], bits: List[int], sinks: int) -> int:
  # k and v (B, g, T, hd) of new tokens -> rows that are filled
  C = cache[1].size(2)
  T = k.size(2)
  first = 0
  while first < T:
    row = self.ring_row(position + first, C, sinks)
    end = min(T, first + C - row)
    keys = self.write_keys(k[:, :, first:end], row, bits[0], cache[0], cache[2])
    values = self.write_values(v[:, :, first:end], row, bits[1], cache[1])
    first = end
  return min(C, position + T)


def distances(self, position: int, T: int, filled: int, C: int, sinks: int) -> Tensor:
  # how far T tokens from `position` on are behind the position that each filled row holds: (T, filled)
  row = torch.arange(filled)
  ring = max(1, C - sinks)
  turns = torch.floor_divide(position + T - 1 - row, ring)
  held = torch.where(torch.lt(row, sinks), row, row + turns * ring)
  return torch.unsqueeze(torch.arange(position, position + T), 1) - held


def attend_ring(self, q: Tensor, to_sinks: Tensor, keys: Tensor, values: Tensor, back: Tensor, sinks: int, window: int,
                far: bool, cap: float) -> Tensor:
  # q and to_sinks (B, h, T, hd), keys and values (B, g, n, hd), back (T, n) -> (B, T, h hd)
  B = q.size(0)
  h = q.size(1)
  T = q.size(2)
  hd = q.size(3)
  g = keys.size(1)
  n = keys.size(2)
  hidden = torch.logical_or(torch.lt(back, 0), torch.ge(back, window))
  if far:
    hidden[:, :sinks] = torch.lt(back[:, :sinks], 0)
  # the queries of a group share its keys
  group = [B, g, h // g * T, hd]
  turned = torch.transpose(keys, 2, 3)
  scores = torch.matmul(torch.reshape(q, group), turned[:, :, :, sinks:])
  scores = torch.cat([torch.matmul(torch.reshape(to_sinks, group), turned[:, :, :, :sinks]), scores], 3)
  scores = self.capped(torch.reshape(scores, [B, g, h // g, T, n]) / float(hd) ** 0.5, cap)
  p = torch.softmax(torch.masked_fill(scores, hidden, float("-inf")), -1)
  o = torch.matmul(torch.reshape(p, [B, g, h // g * T, n]), values)
  return torch.reshape(torch.transpose(torch.reshape(o, [B, h, T, hd]), 1, 2), [B, T, h * hd])


def attend_rings(self, q: Tensor, to_sinks: Tensor, k: Tensor, v: Tensor, counts: List[int], positions: List[int],
                 caches: List[List[Tensor]], bits: List[int], sinks: int, window: int, own: int, cap: float) -> Tensor:
  # q and to_sinks (B, h, T, hd), k and v (B, g, T, hd): counts[i] tokens of each cache i -> (B, T, h hd). A block whose own
  # window is no longer than the other keeps to it, without sinks. At most 256 queries at a time, for their scores take memory
  far = own == 0 or own > window
  seen = window if far else own
  o = annotate(List[Tensor], [])
  first = 0
  for i in range(len(counts)):
    cache = caches[i]
    end = first + counts[i]
    filled = self.write_ring(k[:, :, first:end], v[:, :, first:end], positions[i], cache, bits, sinks)
    keys = self.read_keys(cache[0], cache[2], bits[0], filled)
    values = self.read_values(cache[1], bits[1], filled)
    back = self.distances(positions[i], counts[i], filled, cache[1].size(2), sinks).to(q.device)
    for at in range(first, end, 256):
      last = min(end, at + 256)
      o.append(self.attend_ring(q[:, :, at:last], to_sinks[:, :, at:last], keys, values, back[at - first:last - first], sinks,
                                seen, far, cap))
    first = end
  return o[0] if len(o) == 1 else torch.cat(o, 1)
