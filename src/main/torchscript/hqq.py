# Half-quadratic quantization (Badri and Shaji: "Half-Quadratic Quantization of Large Machine Learning Models", 2023).
# Codes are unsigned here, Q in 0 .. 2^b - 1; w ≈ (Q - z) s per group, and z lies on 256 steps of the codes' range.


def hqq(self, w: Tensor, bits: int, group: int, p: float, beta: float, kappa: float, iterations: int,
        scale_dtype: int) -> List[Tensor]:
  # w (N, K) -> signed q (N, K) int8, scale (N, K / group), zero (N, K / group) uint8. Rows go in slices that stay in the
  # cache, transposed, so that the long dimension is the innermost.
  n = w.size(0)
  k = w.size(1)
  slice = max(1, 65536 // k)
  q = annotate(List[Tensor], [])
  scale = annotate(List[Tensor], [])
  zero = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    x = torch.reshape(torch.contiguous(torch.t(w[first:first + slice].to(6))), [k // group, group, -1])
    s, byte = self.half_quadratic(x, bits, p, beta, kappa, iterations, scale_dtype)
    Q = self.nearest_code(x, s, byte * 2. ** (bits - 8), bits)
    q.append(torch.contiguous(torch.t(torch.reshape((Q - float(2 ** (bits - 1))).to(1), [k, -1]))))
    scale.append(torch.t(torch.squeeze(s, 1)))
    zero.append(torch.t(torch.squeeze(byte, 1)).to(0))
  return [torch.cat(q, 0), torch.cat(scale, 0).to(scale_dtype), torch.cat(zero, 0)]


def nearest_code(self, x: Tensor, s: Tensor, z: Tensor, bits: int) -> Tensor:
  # x (G, g, n); s and z (G, 1, n)
  return torch.clamp(torch.round(x / s + z), 0., float(2 ** bits - 1))


def shrink(self, x: Tensor, beta: float, p: float) -> Tensor:
  # argmin over e of |e|^p + β/2 (e - x)², the generalized soft threshold; up to β^(-1/(2-p)) it gives 0
  if float(torch.amax(torch.abs(x))) <= beta ** (-1. / (2. - p)):
    return torch.zeros_like(x[:1, :1, :1])
  size = torch.clamp_min(torch.abs(x), 1e-8)
  return torch.sign(x) * torch.relu(torch.abs(x) - torch.pow(size, p - 1.) / beta)


def half_quadratic(self, x: Tensor, bits: int, p: float, beta: float, kappa: float, iterations: int,
                   scale_dtype: int) -> Tuple[Tensor, Tensor]:
  # scale of each group as stored and zero point in bytes, (G, 1, n) each. A fit ends in a grid that no small step
  # betters, so there are two, from the group's whole range and from a clipped one.
  levels = float(2 ** bits - 1)
  low = torch.clamp_max(torch.amin(x, [1], True), 0.)
  high = torch.clamp_min(torch.amax(x, [1], True), 0.)
  widest = torch.clamp_min(high / levels - low / levels, 1e-10)  # high - low alone may overflow
  scale = self.stored_scale(widest, scale_dtype)
  zero = self.zero_byte(-low / widest, bits)
  best = torch.full_like(scale, 1e38)
  for clip in [1., 0.85]:
    scale, zero, best = self.fit_grid(x, self.stored_scale(clip * widest, scale_dtype), self.zero_byte(-low / widest, bits),
                                      scale, zero, best, bits, p, beta, kappa, iterations, scale_dtype)
  return (scale, zero)


def zero_byte(self, z: Tensor, bits: int) -> Tensor:
  return torch.clamp(torch.round(z * 2. ** (8 - bits)), 0., 255.)


def fit_grid(self, x: Tensor, s: Tensor, byte: Tensor, scale: Tensor, zero: Tensor, best: Tensor, bits: int, p: float,
             beta: float, kappa: float, iterations: int, scale_dtype: int) -> Tuple[Tensor, Tensor, Tensor]:
  # from s and byte onwards; scale, zero and best are the best grids so far and their errors, (G, 1, n) each
  half = float(2 ** (bits - 1))
  g = float(x.size(1))
  loss = 1e38
  for i in range(iterations + 1):
    z = byte * 2. ** (bits - 8)
    Q = self.nearest_code(x, s, z, bits)
    residual = x - (Q - z) * s
    error = torch.sum(residual * residual, [1], True)
    better = error < best
    scale = torch.where(better, s, scale)
    zero = torch.where(better, byte, zero)
    best = torch.where(better, error, best)
    now = float(torch.sum(best))
    if i == iterations or (i > 3 and now > 0.9999 * loss):
      break
    loss = now
    # least squares of t = W - W_e by s (c - o), with c and o counted from the middle of the codes
    t = x - self.shrink(residual, beta, p)
    c = Q - half
    sum_c = torch.sum(c, [1], True)
    sum_t = torch.sum(t, [1], True)
    sum_cc = torch.sum(c * c, [1], True)
    sum_ct = torch.sum(c * t, [1], True)
    slope = (sum_ct - sum_c * sum_t / g) / torch.clamp_min(sum_cc - sum_c * sum_c / g, 1e-30)
    slope = torch.where(torch.abs(slope) < 1e-10, s, slope)
    # the nearest pair that can be stored: z first, then the best scale for that z
    byte = self.zero_byte((sum_c - sum_t / slope) / g + half, bits)
    o = byte * 2. ** (bits - 8) - half
    refit = (sum_ct - o * sum_t) / torch.clamp_min(sum_cc - 2. * o * sum_c + g * o * o, 1e-30)
    s = self.stored_scale(torch.where(torch.abs(refit) < 1e-10, slope, refit), scale_dtype)
    beta = beta * kappa
  return (scale, zero, best)
