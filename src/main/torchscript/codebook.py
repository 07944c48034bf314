# Weights as indices into a table of numbers, times a scale per group of inputs.


def double_quantize(self, scale: Tensor) -> List[Tensor]:
  # scale (N, G) float32 -> int8 (N, G), a scale per 256 of them row by row, and their mean (1): s = mean + int8 block
  mean = torch.reshape(torch.mean(scale), [1])
  rest = torch.reshape(scale - mean, [-1])
  blocks = (rest.numel() + 255) // 256
  padded = torch.reshape(torch.constant_pad_nd(rest, [0, blocks * 256 - rest.numel()], 0), [blocks, 256])
  block = torch.clamp_min(torch.amax(torch.abs(padded), [1], True) / 127., 1e-30)  # (blocks, 1)
  code = torch.reshape(torch.round(padded / block), [-1])[:rest.numel()]
  return [torch.reshape(code, scale.size()).to(1), torch.squeeze(block, 1), mean]


def nearest_entries(self, w: Tensor, table: Tensor, scale: Tensor, bits: int) -> Tensor:
  # w (N, K), ascending table (2^b), scale (N, K / g) as it will be read back -> packed indices of the nearest entries
  n = w.size(0)
  k = w.size(1)
  s = torch.unsqueeze(torch.where(scale == 0., torch.ones_like(scale), scale), 2)
  middle = (table[1:] + table[:-1]) / 2.
  words = annotate(List[Tensor], [])
  slice = max(1, 262144 // k)
  for first in range(0, n, slice):
    x = torch.reshape(w[first:first + slice].to(6), [-1, scale.size(1), k // scale.size(1)])
    words.append(self.pack(torch.reshape(torch.bucketize(x / s[first:first + slice], middle), [-1, k]), bits))
  return torch.cat(words, 0)


def absmax(self, w: Tensor, group: int, scale_dtype: int) -> Tensor:
  # w (N, K) -> the largest magnitude of each group (N, K / g)
  x = torch.reshape(w, [w.size(0), -1, group])
  return self.stored_scale(torch.amax(torch.abs(x.to(6)), [2]), scale_dtype)


def kmeans_start(self, w: Tensor, count: int) -> List[Tensor]:
  # two tables (n, 2^b) for rows w (n, K): even steps, and quantiles
  low = torch.amin(w, [1], True)
  high = torch.amax(w, [1], True)
  at = (torch.arange(count, dtype=6) + 0.5) / float(count)  # (2^b)
  sorted = torch.sort(w, 1)[0]
  return [low + (high - low) * at, torch.contiguous(sorted[:, (at * float(w.size(1))).to(4)])]


def kmeans_assign(self, w: Tensor, table: Tensor) -> Tensor:
  # the nearest entry of each row's ascending table: (n, K) int64
  return torch.searchsorted(torch.contiguous((table[:, 1:] + table[:, :-1]) / 2.), w)


def kmeans_tables(self, w: Tensor, H: Tensor, bits: int, iterations: int, dtype: int) -> Tensor:
  # w (N, K) -> ascending tables (N, 2^b) as their type holds them, in float32. An error of a weight costs its diag H; inputs
  # that are never seen cost a little, so that their weights stay near.
  cost = torch.diagonal(H).to(6)
  cost = torch.clamp_min(cost, 1e-6 * float(torch.mean(cost)) + 1e-30)
  cost = cost / torch.mean(cost)
  tables = annotate(List[Tensor], [])
  count = int(2 ** bits)
  slice = max(1, 262144 // w.size(1))
  for first in range(0, w.size(0), slice):
    x = w[first:first + slice]
    weight = torch.expand(torch.unsqueeze(cost, 0), x.size())
    best = torch.zeros([x.size(0), 1])
    found = torch.zeros([x.size(0), count])
    starts = self.kmeans_start(x, count)
    for s in range(len(starts)):
      table = starts[s]
      for i in range(iterations):
        a = self.kmeans_assign(x, table)
        mass = torch.scatter_add(torch.zeros_like(table), 1, a, weight)
        sum = torch.scatter_add(torch.zeros_like(table), 1, a, weight * x)
        table = torch.sort(torch.where(mass > 0., sum / torch.clamp_min(mass, 1e-30), table), 1)[0]
      table = table.to(dtype).to(6)
      e = torch.gather(table, 1, self.kmeans_assign(x, table)) - x
      loss = torch.sum(weight * e * e, [1], True)
      if s == 0:
        best = loss
        found = table
      else:
        found = torch.where(loss < best, table, found)
        best = torch.minimum(loss, best)
    tables.append(found)
  return torch.cat(tables, 0)


def nearest_in_rows(self, w: Tensor, table: Tensor) -> Tensor:
  # -> indices (N, K)
  return self.kmeans_assign(torch.contiguous(w), table)


def compensated_in_rows(self, w: Tensor, table: Tensor, T: Tensor, block: int) -> Tensor:
  # the loop of gptq.py in its plainest order, T (K, K) being its factor of H -> indices (N, K)
  K = w.size(1)
  D = torch.contiguous(torch.t(w))  # (K, N): once done, what a column lost takes its place
  middle = torch.contiguous((table[:, 1:] + table[:, :-1]) / 2.)
  indices = torch.empty_like(D, dtype=4)
  for first in range(0, K, block):
    last = min(first + block, K)
    C = torch.matmul(torch.t(T[:first, first:last]), D[:first])
    for i in range(first, last):
      index = torch.searchsorted(middle, torch.unsqueeze(D[i] + C[i - first], 1))  # (N, 1)
      torch.copy_(indices[i], torch.squeeze(index, 1))
      d = D[i]
      torch.sub_(d, torch.squeeze(torch.gather(table, 1, index), 1))
      torch.addr_(C[i + 1 - first:], T[i, i + 1:last], d, beta=1, alpha=1)
  return torch.contiguous(torch.t(indices))
