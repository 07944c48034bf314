# Half-quadratic quantization (Badri and Shaji: "Half-Quadratic Quantization of Large Machine Learning Models", 2023).
# Codes are unsigned here, Q in 0 .. 2^b - 1; w ≈ (Q - z) s per group, and z lies on 256 steps of the codes' range.


def hqq(self, w: Tensor, bits: int, group: int, p: float, beta: float, kappa: float, iterations: int,
        scale_dtype: int) -> List[Tensor]:
  # w (N, K) -> signed q (N, K) int8, scale (N, K / group), zero (N, K / group) uint8. Rows go in slices that stay in the cache.
  n = w.size(0)
  k = w.size(1)
  slice = max(1, 262144 // k)
  q = annotate(List[Tensor], [])
  scale = annotate(List[Tensor], [])
  zero = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    x = torch.reshape(w[first:first + slice].to(6), [-1, k // group, group])
    s, byte = self.half_quadratic(x, bits, p, beta, kappa, iterations, scale_dtype)
    Q = self.nearest_code(x, s, byte * 2. ** (bits - 8), bits)
    q.append((torch.reshape(Q, [-1, k]) - float(2 ** (bits - 1))).to(1))
    scale.append(torch.squeeze(s, 2))
    zero.append(torch.squeeze(byte, 2).to(0))
  return [torch.cat(q, 0), torch.cat(scale, 0).to(scale_dtype), torch.cat(zero, 0)]


def nearest_code(self, x: Tensor, s: Tensor, z: Tensor, bits: int) -> Tensor:
  # x (n, G, g); s and z (n, G, 1)
  return torch.clamp(torch.round(x / s + z), 0., float(2 ** bits - 1))


def shrink(self, x: Tensor, beta: float, p: float) -> Tensor:
  # argmin over e of |e|^p + β/2 (e - x)², the generalized soft threshold
  size = torch.clamp_min(torch.abs(x), 1e-8)
  return torch.sign(x) * torch.relu(torch.abs(x) - torch.pow(size, p - 1.) / beta)


def half_quadratic(self, x: Tensor, bits: int, p: float, beta: float, kappa: float, iterations: int,
                   scale_dtype: int) -> Tuple[Tensor, Tensor]:
  # scale of each group as stored and zero point in bytes, (n, G, 1) each. A fit ends in the nearest grid that fits no worse
  # nearby, so there are two, from the group's whole range and from a clipped one, and the one that loses less is kept.
  levels = float(2 ** bits - 1)
  low = torch.clamp_max(torch.amin(x, [2], True), 0.)
  high = torch.clamp_min(torch.amax(x, [2], True), 0.)
  widest = torch.clamp_min(high / levels - low / levels, 1e-10)  # high - low alone may overflow
  scale = self.stored_scale(widest, scale_dtype)
  zero = self.zero_byte(-low / scale, bits)
  best = self.grid_error(x, scale, zero, bits)
  for clip in [1., 0.85]:
    scale, zero, best = self.fit_grid(x, clip * widest, -low / widest, scale, zero, best, bits, p, beta, kappa, iterations,
                                      scale_dtype)
  return (scale, zero)


def zero_byte(self, z: Tensor, bits: int) -> Tensor:
  return torch.clamp(torch.round(z * 2. ** (8 - bits)), 0., 255.)


def grid_error(self, x: Tensor, s: Tensor, byte: Tensor, bits: int) -> Tensor:
  z = byte * 2. ** (bits - 8)
  return torch.sum(torch.square((self.nearest_code(x, s, z, bits) - z) * s - x), [2], True)


def fit_grid(self, x: Tensor, s: Tensor, z: Tensor, scale: Tensor, zero: Tensor, best: Tensor, bits: int, p: float,
             beta: float, kappa: float, iterations: int, scale_dtype: int) -> Tuple[Tensor, Tensor, Tensor]:
  # from s and z onwards; scale, zero and best are the best grids so far and their errors, (n, G, 1) each
  for i in range(iterations):
    Q = self.nearest_code(x, s, z, bits)
    t = x - self.shrink(x - (Q - z) * s, beta, p)  # W - W_e
    mean_q = torch.mean(Q, [2], True)
    mean_t = torch.mean(t, [2], True)
    d = Q - mean_q
    slope = torch.sum(d * (t - mean_t), [2], True) / torch.clamp_min(torch.sum(d * d, [2], True), 1e-30)
    s = torch.where(torch.abs(slope) < 1e-10, s, slope)
    z = mean_q - mean_t / s
    # what can be stored of it: z first, then the best scale for that z
    byte = self.zero_byte(z, bits)
    c = Q - byte * 2. ** (bits - 8)
    refit = torch.sum(c * t, [2], True) / torch.clamp_min(torch.sum(c * c, [2], True), 1e-30)
    stored = self.stored_scale(torch.where(torch.abs(refit) < 1e-10, s, refit), scale_dtype)
    error = self.grid_error(x, stored, byte, bits)
    better = error < best
    if not bool(torch.any(better)):
      break
    scale = torch.where(better, stored, scale)
    zero = torch.where(better, byte, zero)
    best = torch.minimum(error, best)
    beta = beta * kappa
  return (scale, zero, best)
