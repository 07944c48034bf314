# Rounding to ggml's blocks of 256 with scales of two levels. Q4_K and Q5_K: w ≈ d s q - e m in groups of 32, s and m of 6 bits;
# Q6_K: w ≈ d s q in groups of 16, s of 8 bits. An error at w costs |w| and the group's root mean square in the first two, w² in
# the last, as it does to the types' authors (ggml-quants.c of llama.cpp). Best scales of single groups come first; then d and e
# and the integers are fitted to each other, which the authors leave out.
#
# x is (g, M): M groups of g numbers, innermost the groups, 256 / g of them a block. Of B blocks, d and e are (B, 1), s and m
# (B, 256 / g).


def k_rows(self, w: Tensor, order: Tensor, type: int) -> Tensor:
  # rows `order` (N) int64 of w (N, K) -> their blocks of Q4_K (12), Q5_K (13) or Q6_K (14), (N, bytes of a row) uint8. Rows go
  # in slices that stay in the cache.
  slice = max(1, 131072 // w.size(1))
  made = annotate(List[Tensor], [])
  for first in range(0, order.size(0), slice):
    rows = torch.index_select(w, 0, order[first:first + slice]).to(6)
    x = torch.contiguous(torch.t(torch.reshape(rows, [-1, 16 if type == 14 else 32])))
    blocks = self.k_centred(x) if type == 14 else self.k_ranged(x, 31. if type == 13 else 15.)
    made.append(torch.reshape(blocks, [rows.size(0), -1]))
  return torch.cat(made, 0)


def k_half(self, x: Tensor) -> Tensor:
  # as it comes back from a block
  return torch.clamp(x, -65504., 65504.).to(5).to(6)


def k_over(self, x: Tensor, by: Tensor) -> Tensor:
  # 0 where there is nothing to divide by
  return torch.where(torch.eq(by, 0.), torch.zeros_like(x), x / by)


def k_total(self, x: Tensor, like: Tensor) -> Tensor:
  # sums (g, M) over each block
  return torch.sum(torch.reshape(torch.sum(x, [0]), like.size()), [1], True)


def k_ranged(self, x: Tensor, levels: float) -> Tensor:
  c = torch.abs(x) + torch.sqrt(torch.mean(torch.square(x), [0], True))
  scale, minimum = self.k_range(x, c, levels)
  scale = torch.reshape(scale, [-1, 8])
  minimum = torch.reshape(minimum, [-1, 8])
  d = self.k_half(torch.amax(scale, [1], True) / 63.)
  e = self.k_half(torch.amax(minimum, [1], True) / 63.)
  s = torch.clamp(torch.round(self.k_over(scale, d)), 0., 63.)
  m = torch.clamp(torch.round(self.k_over(minimum, e)), 0., 63.)
  for _ in range(2):
    s, m = self.k_neighbours(x, c, d, s, e, m, levels)
    d, e = self.k_refit(x, c, d, s, e, m, levels)
  q = torch.reshape(torch.t(self.k_codes(x, d * s, e * m, levels)), [-1, 8, 32]).to(0)
  s = s.to(0)
  m = m.to(0)
  high = torch.bitwise_left_shift(torch.bitwise_right_shift(torch.cat([s[:, 4:], m[:, 4:]], 1), 4), 6)
  low = torch.bitwise_or(torch.bitwise_and(s[:, 4:], 15), torch.bitwise_left_shift(torch.bitwise_and(m[:, 4:], 15), 4))
  parts = [self.k_half_bytes(d), self.k_half_bytes(e),
           torch.bitwise_or(torch.cat([s[:, :4], m[:, :4]], 1), high), low]
  if levels == 31.:
    fifth = torch.bitwise_left_shift(torch.bitwise_right_shift(q, 4), torch.reshape(torch.arange(8, dtype=0), [8, 1]))
    parts.append(torch.sum(fifth, [1]).to(0))
  pairs = torch.reshape(torch.bitwise_and(q, 15), [-1, 4, 2, 32])
  parts.append(torch.reshape(torch.bitwise_or(pairs[:, :, 0], torch.bitwise_left_shift(pairs[:, :, 1], 4)), [-1, 128]))
  return torch.cat(parts, 1)


def k_half_bytes(self, x: Tensor) -> Tensor:
  # (B, 1) -> (B, 2)
  return torch.reshape(self.as_bytes(x.to(5)), [-1, 2])


def k_range(self, x: Tensor, c: Tensor, levels: float) -> Tuple[Tensor, Tensor]:
  # Scale and minimum of each group by itself, x ≈ scale q - minimum, minimum >= 0: (M) each. Each step lays more or fewer levels
  # over the group's range; scale and minimum are those that lose least with the codes that come of it. y, from the low end up,
  # keeps the sums small: y ≈ s q - m, and loss = Σ c (s q - m - y)².
  low = torch.clamp_max(torch.amin(x, [0]), 0.)
  y = x - low
  span = torch.clamp_min(torch.amax(y, [0]), 1e-30)
  scale = span / levels
  minimum = torch.zeros_like(scale)
  best = self.k_error(y, c, scale, minimum, levels)
  cy = c * y
  C = torch.sum(c, [0])
  Y = torch.sum(cy, [0])
  YY = torch.sum(cy * y, [0])
  for i in range(11):
    q = torch.clamp_max_(torch.round_(y * ((levels - 1. + 0.2 * float(i)) / span)), levels)
    QY = torch.sum(cy * q, [0])
    cq = c * q
    Q = torch.sum(cq, [0])
    QQ = torch.sum(torch.mul_(cq, q), [0])
    D = C * QQ - Q * Q
    s = (C * QY - Q * Y) / D
    m = (Q * QY - QQ * Y) / D
    over = m < low  # the minimum would be below 0
    s = torch.where(over, (QY + low * Q) / QQ, s)
    m = torch.where(over, low, m)
    loss = s * (s * QQ - 2. * (m * Q + QY)) + m * (m * C + 2. * Y) + YY
    take = torch.logical_and(loss < best, s > 0.)  # what is not a number is not less
    scale = torch.where(take, s, scale)
    minimum = torch.where(take, m, minimum)
    best = torch.where(take, loss, best)
  return (scale, minimum - low)


def k_codes(self, x: Tensor, scale: Tensor, minimum: Tensor, levels: float) -> Tensor:
  # q (g, M) of scales and minima of M groups
  scale = torch.reshape(scale, [-1])
  return torch.clamp_(torch.round_((x + torch.reshape(minimum, [-1])) * self.k_over(torch.ones_like(scale), scale)), 0., levels)


def k_error(self, x: Tensor, c: Tensor, scale: Tensor, minimum: Tensor, levels: float) -> Tensor:
  # what each group loses, of the shape of `scale`
  q = self.k_codes(x, scale, minimum, levels)
  e = torch.sub_(torch.sub_(torch.mul_(q, torch.reshape(scale, [-1])), torch.reshape(minimum, [-1])), x)
  return torch.reshape(torch.sum(torch.mul_(torch.square_(e), c), [0]), scale.size())


def k_neighbours(self, x: Tensor, c: Tensor, d: Tensor, s: Tensor, e: Tensor, m: Tensor,
                 levels: float) -> Tuple[Tensor, Tensor]:
  # the best s and m of those up to 1 away
  best = self.k_error(x, c, d * s, e * m, levels)
  best_s = s
  best_m = m
  for i in range(9):
    s1 = torch.clamp(s + float(i // 3 - 1), 0., 63.)
    m1 = torch.clamp(m + float(i % 3 - 1), 0., 63.)
    loss = self.k_error(x, c, d * s1, e * m1, levels)
    take = loss < best
    best_s = torch.where(take, s1, best_s)
    best_m = torch.where(take, m1, best_m)
    best = torch.where(take, loss, best)
  return (best_s, best_m)


def k_refit(self, x: Tensor, c: Tensor, d: Tensor, s: Tensor, e: Tensor, m: Tensor, levels: float) -> Tuple[Tensor, Tensor]:
  # d and e that lose least with the codes as they are, where that is less than before
  sq = self.k_codes(x, d * s, e * m, levels) * torch.reshape(s, [-1])
  minus = -torch.reshape(m, [-1]) * torch.ones_like(x)
  aa = self.k_total(c * sq * sq, s)
  ab = self.k_total(c * sq * minus, s)
  bb = self.k_total(c * minus * minus, s)
  ax = self.k_total(c * sq * x, s)
  bx = self.k_total(c * minus * x, s)
  D = aa * bb - ab * ab
  d1 = self.k_half(torch.where(D > 0., (bb * ax - ab * bx) / D, ax / aa))  # all m may be 0
  e1 = self.k_half(torch.where(D > 0., (aa * bx - ab * ax) / D, e))
  before = torch.sum(self.k_error(x, c, d * s, e * m, levels), [1], True)
  after = torch.sum(self.k_error(x, c, d1 * s, e1 * m, levels), [1], True)
  take = torch.logical_and(after < before, e1 >= 0.)
  return (torch.where(take, d1, d), torch.where(take, e1, e))


def k_centred(self, x: Tensor) -> Tensor:
  c = torch.square(x)
  scale = torch.reshape(self.k_centre(x, c), [-1, 16])
  d = self.k_half(self.k_peak(scale, 1) / -128.)
  s = torch.clamp(torch.round(self.k_over(scale, d)), -128., 127.)
  for _ in range(2):
    best = self.k_centred_error(x, c, d * s)
    near = s
    for i in range(2):
      s1 = torch.clamp(s + float(2 * i - 1), -128., 127.)
      loss = self.k_centred_error(x, c, d * s1)
      near = torch.where(loss < best, s1, near)
      best = torch.minimum(loss, best)
    s = near
    sq = self.k_centred_codes(x, d * s) * torch.reshape(s, [-1])
    d1 = self.k_half(self.k_total(c * sq * x, s) / self.k_total(c * sq * sq, s))
    after = torch.sum(self.k_centred_error(x, c, d1 * s), [1], True)
    d = torch.where(after < torch.sum(best, [1], True), d1, d)
  q = torch.reshape(torch.t(self.k_centred_codes(x, d * s) + 32.), [-1, 2, 4, 32]).to(0)
  low = torch.bitwise_and(q, 15)
  high = torch.bitwise_left_shift(torch.bitwise_right_shift(q, 4), torch.reshape(torch.arange(0, 8, 2, dtype=0), [4, 1]))
  return torch.cat([torch.reshape(torch.bitwise_or(low[:, :, :2], torch.bitwise_left_shift(low[:, :, 2:], 4)), [-1, 128]),
                    torch.reshape(torch.sum(high, [2]).to(0), [-1, 64]),
                    torch.reshape(self.as_bytes(s.to(1)), [-1, 16]), self.k_half_bytes(d)], 1)


def k_peak(self, x: Tensor, dimension: int) -> Tensor:
  # the number of the largest magnitude
  high = torch.amax(x, [dimension], True)
  low = torch.amin(x, [dimension], True)
  return torch.where(high >= -low, high, low)


def k_centre(self, x: Tensor, c: Tensor) -> Tensor:
  # Scale of each group by itself, (M). Each step puts the peak at or about the lowest level.
  peak = self.k_peak(x, 0)
  scale = peak / -32.
  best = torch.full_like(scale, -1.)
  for i in range(19):
    q = torch.clamp_(torch.round_(x * (-(31.1 + 0.1 * float(i)) / peak)), -32., 31.)
    cq = c * q
    qx = torch.sum(cq * x, [0], True)
    s = qx / torch.sum(cq * q, [0], True)
    scale, best = self.better(s, s * qx, scale, best)
  return scale


def k_centred_codes(self, x: Tensor, scale: Tensor) -> Tensor:
  scale = torch.reshape(scale, [-1])
  return torch.clamp_(torch.round_(x * self.k_over(torch.ones_like(scale), scale)), -32., 31.)


def k_centred_error(self, x: Tensor, c: Tensor, scale: Tensor) -> Tensor:
  e = self.k_centred_codes(x, scale) * torch.reshape(scale, [-1]) - x
  return torch.reshape(torch.sum(c * torch.square_(e), [0]), scale.size())
