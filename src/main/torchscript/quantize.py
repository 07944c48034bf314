# Round-to-nearest: w ≈ (q - z) s per group, q signed in -2^(b-1) .. 2^(b-1)-1. The scale is the one that loses least, by a
# search over clipped ranges (mean squared error, group by group).


def rtn(self, w: Tensor, bits: int, group: int, symmetric: bool, steps: int, scale_dtype: int) -> List[Tensor]:
  return self.round_groups(w, None, bits, group, symmetric, steps, scale_dtype)


def round_groups(self, w: Tensor, weight: Optional[Tensor], bits: int, group: int, symmetric: bool, steps: int,
                 scale_dtype: int) -> List[Tensor]:
  # w (N, K) -> signed q (N, K) int8, scale (N, K / group), and zero (N, K / group) int32 when asymmetric.
  # steps = 0 takes each group's range as it is. Rows go in slices that stay in the cache.
  n = w.size(0)
  k = w.size(1)
  slice = max(1, 262144 // k)
  q = annotate(List[Tensor], [])
  scale = annotate(List[Tensor], [])
  zero = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    x = torch.reshape(torch.contiguous(torch.t(w[first:first + slice].to(6))), [k // group, group, -1])
    s, z = self.group_scale(x, weight, bits, symmetric, steps, scale_dtype)
    code = self.quantize_group(x, s, None if symmetric else z, bits).to(1)
    q.append(torch.contiguous(torch.t(torch.reshape(code, [k, -1]))))
    scale.append(torch.t(torch.squeeze(s, 1)))
    zero.append(torch.t(torch.squeeze(z, 1)).to(3))
  if symmetric:
    return [torch.cat(q, 0), torch.cat(scale, 0).to(scale_dtype)]
  return [torch.cat(q, 0), torch.cat(scale, 0).to(scale_dtype), torch.cat(zero, 0)]


# Groups below are (G, g, n): G groups of g inputs, of n rows each. The rows lie innermost, so that every operation runs
# along memory, with scale and zero point (G, 1, n) at its side.


def quantize_group(self, x: Tensor, scale: Tensor, zero: Optional[Tensor], bits: int) -> Tensor:
  half = float(2 ** (bits - 1))
  q = torch.round_(x / scale)
  if zero is not None:
    torch.add_(q, zero)
  return torch.clamp_(q, -half, half - 1.)


def stored_scale(self, scale: Tensor, dtype: int) -> Tensor:
  # the scale as it comes back from disk, never 0: float16 ends at 2^-24, and a group of zeros has no scale of its own
  s = scale.to(dtype).to(6)
  return torch.where(s == 0., torch.full_like(s, 2. ** -24), s)


def group_scale(self, x: Tensor, weight: Optional[Tensor], bits: int, symmetric: bool, steps: int,
                scale_dtype: int) -> Tuple[Tensor, Tensor]:
  # Scale and zero point of each group, (G, 1, n) each. weight: how much an error e of a group costs,
  # (G, g, 1) for each input by itself, or (G, g, g) for <e, weight e>.
  # Each step tries a clipped range. For its codes q (less the zero point) the best scale is s = <q, x> / <q, q>, which
  # leaves <x, x> - <q, x>^2 / <q, q>: the largest gain <q, x>^2 / <q, q> wins.
  y = x if weight is None else self.weighted(x, weight)
  half = float(2 ** (bits - 1))
  levels = 2. * half - 1.
  if symmetric:
    low = -torch.amax(torch.abs(x), [1], True)
    high = -low
  else:
    low = torch.clamp_max(torch.amin(x, [1], True), 0.)
    high = torch.clamp_min(torch.amax(x, [1], True), 0.)
  widest = torch.clamp_min(high / levels - low / levels, 1e-10)  # high - low alone may overflow
  scale = self.stored_scale(widest, scale_dtype)
  zero = torch.zeros_like(scale)
  if not symmetric:
    zero = torch.clamp_(torch.round_(-half - low / scale), -half, half - 1.)
  start = zero
  best = torch.full_like(scale, -1.)
  for i in range(steps):
    if symmetric:
      # the codes reach one step further down than up: -s puts the far end where +s has the near one, with codes -q
      clip = 0.6 + 0.55 * float(i) / float(steps)
      q = torch.round_(x * torch.reciprocal(clip * widest))
      s, gain = self.scale_of(torch.clamp(q, -half, half - 1.), x, y, weight)
      scale, best = self.better(s, gain, scale, best)
      s, gain = self.scale_of(torch.clamp_(q, 1. - half, half), x, y, weight)
      scale, best = self.better(-s, gain, scale, best)
    else:
      clip = 1.05 - 0.5 * float(i) / float(steps)
      s = clip * widest
      z = torch.clamp(torch.round(-half - clip * low / s), -half, half - 1.)
      q = torch.clamp_(torch.add_(torch.round_(x * torch.reciprocal(s)), z), -half, half - 1.)
      s, gain = self.scale_of(torch.sub_(q, z), x, y, weight)
      zero = torch.where(gain > best, z, zero)
      scale, best = self.better(s, gain, scale, best)
  scale = self.stored_scale(scale, scale_dtype)
  if steps == 0:
    return (scale, zero)
  # rounding the winner for the disk may cost more than it won, and squares of huge weights overflow
  whole = self.stored_scale(widest, scale_dtype)
  better = self.group_error(x, weight, scale, zero, bits) < self.group_error(x, weight, whole, start, bits)
  return (torch.where(better, scale, whole), torch.where(better, zero, start))


def weighted(self, x: Tensor, weight: Tensor) -> Tensor:
  return x * weight if weight.size(2) == 1 else torch.matmul(weight, x)


def group_error(self, x: Tensor, weight: Optional[Tensor], scale: Tensor, zero: Tensor, bits: int) -> Tensor:
  e = (self.quantize_group(x, scale, zero, bits) - zero) * scale - x
  if weight is not None:
    return torch.sum(self.weighted(e, weight) * e, [1], True)
  return torch.sum(torch.square_(e), [1], True)


def scale_of(self, q: Tensor, x: Tensor, y: Tensor, weight: Optional[Tensor]) -> Tuple[Tensor, Tensor]:
  # the best scale for codes q and its gain, not a number where all codes are 0; y = weight x; q is used up
  qx = torch.sum(q * y, [1], True)
  if weight is None:
    torch.square_(q)
  else:
    torch.mul_(q, self.weighted(q, weight))
  s = qx / torch.sum(q, [1], True)
  return (s, s * qx)


def better(self, s: Tensor, gain: Tensor, scale: Tensor, best: Tensor) -> Tuple[Tensor, Tensor]:
  take = gain > best
  return (torch.where(take, s, scale), torch.where(take, gain, best))


def rounding_error(self, w: Tensor, H: Tensor, bits: int, group: int, symmetric: bool, steps: int,
                   scale_dtype: int) -> float:
  # what rounding w (N, K) to nearest does to its outputs: the mean over tokens of ||(W - Q) x||², with H = 2/n X Xᵀ
  k = w.size(1)
  x = torch.reshape(torch.contiguous(torch.t(w.to(6))), [k // group, group, -1])
  weight = torch.reshape(torch.diagonal(H), [k // group, group, 1])
  s, z = self.group_scale(x, weight, bits, symmetric, steps, scale_dtype)
  D = torch.reshape((self.quantize_group(x, s, z, bits) - z) * s - x, [k, -1])
  return float(torch.sum(torch.matmul(H, D) * D)) / 2.


def float8(self, w: Tensor, whole: bool, steps: int, scale_dtype: int) -> List[Tensor]:
  # w (N, K) -> E4M3 (N, K), scale (N, 1) or of the whole tensor (1). Rows with scales of their own go in slices.
  if whole:
    return self.float8_rows(w, True, steps, scale_dtype)
  slice = max(1, 262144 // w.size(1))
  q = annotate(List[Tensor], [])
  scale = annotate(List[Tensor], [])
  for first in range(0, w.size(0), slice):
    made = self.float8_rows(w[first:first + slice], False, steps, scale_dtype)
    q.append(made[0])
    scale.append(made[1])
  return [torch.cat(q, 0), torch.cat(scale, 0)]


def float8_rows(self, w: Tensor, whole: bool, steps: int, scale_dtype: int) -> List[Tensor]:
  # Each scale is amax / 448, or the best of `steps` below it: a smaller one clips the largest weights, and shifts where the
  # others fall between the floats.
  x = w.to(6)
  peak = torch.clamp_min(torch.amax(torch.abs(x), [0, 1] if whole else [1], True), 1e-10)  # (1, 1) or (N, 1)
  scale = self.stored_scale(peak / 448., scale_dtype)
  best = self.float8_error(x, scale, whole)
  for i in range(steps):
    s = self.stored_scale(peak / 448. * (1. - 0.5 * float(i + 1) / float(steps)), scale_dtype)
    error = self.float8_error(x, s, whole)
    scale = torch.where(error < best, s, scale)
    best = torch.minimum(error, best)
  shape = [1] if whole else [scale.size(0), 1]
  return [self.to_float8(x / scale), torch.reshape(scale, shape).to(scale_dtype)]


def to_float8(self, x: Tensor) -> Tensor:
  return torch.clamp(x, -448., 448.).to(24)  # what lies above would become NaN


def float8_error(self, x: Tensor, scale: Tensor, whole: bool) -> Tensor:
  loss = torch.square(self.to_float8(x / scale).to(6) * scale - x)
  return torch.sum(loss, [0, 1] if whole else [1], True)


def pack_codes(self, q: Tensor, bits: int) -> Tensor:
  # signed q -> packed u = q + 2^(b-1), as compressed-tensors' pack-quantized stores it
  return self.pack(q.to(0) + int(2 ** (bits - 1)), bits)


def pack_zero(self, zero: Tensor, bits: int) -> Tensor:
  # zero points are packed along the rows: (N, G) -> (ceil(N b / 32), G)
  return torch.contiguous(torch.transpose(self.pack(torch.transpose(zero, 0, 1) + 2 ** (bits - 1), bits), 0, 1))


def unpack_zero(self, packed: Tensor, bits: int, n: int) -> Tensor:
  u = self.unpack(torch.contiguous(torch.transpose(packed, 0, 1)), bits, n)
  return torch.contiguous(torch.transpose(u, 0, 1)) - 2 ** (bits - 1)
