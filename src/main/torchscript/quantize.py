# Round-to-nearest: w ≈ (q - z) s per group, q signed in -2^(b-1) .. 2^(b-1)-1. The scale is the one that loses least, by a
# search over clipped ranges (mean squared error, group by group). What an error e of a group costs is <e, e M>, with M given
# by `weight`: (1) or (1, G, g) for a diagonal, (1, G, g, g) for a full matrix per group.


def rtn(self, w: Tensor, bits: int, group: int, symmetric: bool, steps: int, scale_dtype: int) -> List[Tensor]:
  return self.round_groups(w, torch.ones([1]), bits, group, symmetric, steps, scale_dtype)


def round_groups(self, w: Tensor, weight: Tensor, bits: int, group: int, symmetric: bool, steps: int,
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
    x = torch.reshape(w[first:first + slice].to(6), [-1, k // group, group])
    s, z = self.group_scale(x, weight, bits, symmetric, steps, scale_dtype)
    q.append(torch.reshape(self.quantize_group(x, s, z, bits), [-1, k]).to(1))
    scale.append(torch.squeeze(s, 2))
    zero.append(torch.squeeze(z, 2).to(3))
  if symmetric:
    return [torch.cat(q, 0), torch.cat(scale, 0).to(scale_dtype)]
  return [torch.cat(q, 0), torch.cat(scale, 0).to(scale_dtype), torch.cat(zero, 0)]


def quantize_group(self, x: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
  # x (n, G, g); scale and zero (n, G, 1)
  half = float(2 ** (bits - 1))
  return torch.clamp(torch.round(x / scale) + zero, -half, half - 1.)


def weighted(self, e: Tensor, weight: Tensor) -> Tensor:
  # e (n, G, g) -> e M
  if weight.dim() < 4:
    return e * weight
  return torch.transpose(torch.matmul(torch.transpose(e, 0, 1), weight[0]), 0, 1)


def group_error(self, x: Tensor, weight: Tensor, scale: Tensor, zero: Tensor, bits: int) -> Tensor:
  q = self.quantize_group(x, scale, zero, bits)
  e = (q - zero) * scale - x
  return torch.sum(self.weighted(e, weight) * e, [2], True)


def group_scale(self, x: Tensor, weight: Tensor, bits: int, symmetric: bool, steps: int,
                scale_dtype: int) -> Tuple[Tensor, Tensor]:
  # scale and zero point of each group, (n, G, 1) each
  if symmetric:
    s = self.symmetric_scale(x, weight, bits, steps, scale_dtype)
    return (s, torch.zeros_like(s))
  return self.asymmetric_scale(x, weight, bits, steps, scale_dtype)


def stored_scale(self, scale: Tensor, dtype: int) -> Tensor:
  # the scale as it comes back from disk, never 0: float16 ends at 2^-24, and a group of zeros has no scale of its own
  s = scale.to(dtype).to(6)
  return torch.where(s == 0., torch.full_like(s, 2. ** -24), s)


def symmetric_scale(self, x: Tensor, weight: Tensor, bits: int, steps: int, scale_dtype: int) -> Tensor:
  # The codes reach one step further down than up, so each clip is tried with both signs: a negative scale puts the far end
  # where the group's largest weight is. Then s = <q, x> / <q, q>, weighted, the least-squares scale for the codes found.
  half = float(2 ** (bits - 1))
  peak = torch.clamp_min(torch.amax(torch.abs(x), [2], True), 1e-10)  # (n, G, 1)
  zero = torch.zeros_like(peak)
  scale = self.stored_scale(peak / (half - 0.5), scale_dtype)
  best = self.group_error(x, weight, scale, zero, bits)
  for i in range(steps):
    clip = 0.8 + 0.8 * float(i) / float(steps)
    for sign in [1., -1.]:
      s = self.stored_scale(sign * peak / (clip * (half - 0.5)), scale_dtype)
      error = self.group_error(x, weight, s, zero, bits)
      scale = torch.where(error < best, s, scale)
      best = torch.minimum(error, best)
  for i in range(2 if steps > 0 else 0):
    q = self.quantize_group(x, scale, zero, bits)
    p = self.weighted(q, weight)
    s = torch.sum(p * x, [2], True) / torch.clamp_min(torch.sum(p * q, [2], True), 1e-30)
    s = self.stored_scale(torch.where(torch.abs(s) < 1e-10, scale, s), scale_dtype)
    error = self.group_error(x, weight, s, zero, bits)
    scale = torch.where(error < best, s, scale)
    best = torch.minimum(error, best)
  return scale


def asymmetric_scale(self, x: Tensor, weight: Tensor, bits: int, steps: int, scale_dtype: int) -> Tuple[Tensor, Tensor]:
  half = float(2 ** (bits - 1))
  levels = 2. * half - 1.
  low = torch.clamp_max(torch.amin(x, [2], True), 0.)
  high = torch.clamp_min(torch.amax(x, [2], True), 0.)
  widest = torch.clamp_min(high / levels - low / levels, 1e-10)  # high - low alone may overflow
  scale = self.stored_scale(widest, scale_dtype)
  zero = torch.clamp(torch.round(-half - low / scale), -half, half - 1.)
  best = self.group_error(x, weight, scale, zero, bits)
  for i in range(steps):
    clip = 1.05 - 0.5 * float(i) / float(steps)
    s = self.stored_scale(clip * widest, scale_dtype)
    z = torch.clamp(torch.round(-half - clip * low / s), -half, half - 1.)
    error = self.group_error(x, weight, s, z, bits)
    better = error < best
    scale = torch.where(better, s, scale)
    zero = torch.where(better, z, zero)
    best = torch.minimum(error, best)
  return (scale, zero)


def pack_codes(self, q: Tensor, bits: int) -> Tensor:
  # signed q -> packed u = q + 2^(b-1), as compressed-tensors' pack-quantized stores it
  return self.pack(q.to(3) + 2 ** (bits - 1), bits)


def pack_zero(self, zero: Tensor, bits: int) -> Tensor:
  # zero points are packed along the rows: (N, G) -> (ceil(N b / 32), G)
  return torch.contiguous(torch.transpose(self.pack(torch.transpose(zero, 0, 1) + 2 ** (bits - 1), bits), 0, 1))


def unpack_zero(self, packed: Tensor, bits: int, n: int) -> Tensor:
  u = self.unpack(torch.contiguous(torch.transpose(packed, 0, 1)), bits, n)
  return torch.contiguous(torch.transpose(u, 0, 1)) - 2 ** (bits - 1)
