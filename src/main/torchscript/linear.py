# The forms of a linear layer y = x Wᵀ + b, as the forward pass runs them. x is (..., K), W is (N, K), y is (..., N).
#
# A model keeps all weights in one flat list `w`. Each part (a whole linear, or several fused by rows) is four integers in
# `parts`: kind, index of its first tensor in `w`, group size, index of its bias in `w` or -1.
#
#   kind 0  dense              W (N, K) float
#   kind 1  int8, dynamic      Wᵀ (K, N) int8, scale (N,); x is quantized per token
#   kind 2  int4 grouped       W in _weight_int4pack_mm's layout, [scale, zero] (K/g, N, 2), W as bytes (N, K/2)
#   kind 3  int8, weight only  W (N, K) int8, scale (N,)
#
# Weight-only kinds compute in bfloat16: libtorch's kernels for them are vectorized for that type only (float32 is 50 times
# slower), and its rounding is far below the weights'. They read packed weights for few rows; for many it pays to unpack
# once and use the bfloat16 GEMM.


def linear(self, x: Tensor, part: int, w: List[Tensor], parts: List[int]) -> Tensor:
  kind = parts[4 * part]
  i = parts[4 * part + 1]
  group = parts[4 * part + 2]
  bias = parts[4 * part + 3]
  if kind == 0:
    y = torch.linear(x, w[i])
  else:
    rows = torch.reshape(x, [-1, x.size(-1)])
    if kind == 1:
      y = self.int8_dynamic(rows, w[i], w[i + 1])
    elif kind == 2:
      y = self.int4_grouped(rows.to(15), w[i], w[i + 1], w[i + 2], group)
    else:
      y = self.int8_weight_only(rows.to(15), w[i], w[i + 1])
    shape = x.size()
    shape[len(shape) - 1] = y.size(-1)
    y = torch.reshape(y, shape)
  if bias >= 0:
    y = y + w[bias]
  return y


def int8_dynamic(self, x: Tensor, wt: Tensor, scale: Tensor) -> Tensor:
  # per token: x ≈ s q, q in -127..127
  s = torch.clamp_min(torch.amax(torch.abs(x), [1], True) / 127., 1e-12)  # (M, 1)
  q = torch.round(x / s).to(1)  # (M, K)
  return torch._int_mm(q, wt).to(6) * s * scale  # (M, N)


def int4_grouped(self, x: Tensor, packed: Tensor, pair: Tensor, bytes: Tensor, group: int) -> Tensor:
  if x.size(0) < 16:
    return torch._weight_int4pack_mm_for_cpu(x, packed, group, pair).to(6)
  # a byte holds an even column below and an odd one above: x Wᵀ = x_even W_evenᵀ + x_odd W_oddᵀ, without interleaving
  scale, zero = torch.chunk(torch.transpose(pair, 0, 1), 2, -1)  # (N, K / g, 1) each
  zero = zero - 8. * scale
  even = self.scale_codes(torch.bitwise_and(bytes, 15), scale, zero)  # (N, K / 2)
  odd = self.scale_codes(torch.bitwise_right_shift(bytes, 4), scale, zero)
  return torch.linear(x[:, ::2], even).to(6) + torch.linear(x[:, 1::2], odd).to(6)


def scale_codes(self, u: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
  # codes (N, n) -> u s + zero, with scale and zero (N, G, 1)
  grouped = torch.reshape(u, [u.size(0), scale.size(1), -1]).to(15)
  return torch.reshape(torch.addcmul(zero, grouped, scale), [u.size(0), -1])


def int8_weight_only(self, x: Tensor, w: Tensor, scale: Tensor) -> Tensor:
  if x.size(0) < 8:
    return torch._weight_int8pack_mm(x, w, scale).to(6)
  return torch.linear(x, w.to(15)).to(6) * scale


def project(self, x: Tensor, slot: int, w: List[Tensor], parts: List[int], slots: List[int]) -> Tensor:
  # a slot is one place in a block; its parts read the same x, and their outputs lie side by side
  first = slots[slot]
  last = slots[slot + 1]
  if last - first == 1:
    return self.linear(x, first, w, parts)
  y = annotate(List[Tensor], [])
  for part in range(first, last):
    y.append(self.linear(x, part, w, parts))
  return torch.cat(y, -1)


def unpack(self, packed: Tensor, bits: int, k: int) -> Tensor:
  # (N, ceil(K b / 32)) int32, a little-endian bit stream per row -> unsigned codes (N, K) int32; in slices of rows, since
  # the bits take four bytes each on the way
  n = packed.size(0)
  slice = max(1, 262144 // k)
  codes = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    bytes = torch.reshape(self.as_bytes(packed[first:first + slice]), [-1, packed.size(1) * 4, 1])
    bit = torch.bitwise_and(torch.bitwise_right_shift(bytes, torch.arange(8, dtype=0)), 1)  # (n, words * 4, 8)
    bit = torch.reshape(torch.reshape(bit, [bit.size(0), -1])[:, :k * bits], [bit.size(0), k, bits]).to(3)
    codes.append(torch.sum(torch.bitwise_left_shift(bit, torch.arange(bits, dtype=3)), [2], dtype=3))
  return torch.cat(codes, 0)


def pack(self, codes: Tensor, bits: int) -> Tensor:
  # unsigned codes (N, K) -> (N, ceil(K b / 32)) int32
  n = codes.size(0)
  k = codes.size(1)
  slice = max(1, 262144 // k)
  words = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    code = torch.unsqueeze(codes[first:first + slice].to(3), 2)
    bit = torch.bitwise_and(torch.bitwise_right_shift(code, torch.arange(bits, dtype=3)), 1)
    bit = torch.reshape(bit, [-1, k * bits])
    bit = torch.constant_pad_nd(bit, [0, (32 - k * bits % 32) % 32], 0)
    bit = torch.reshape(bit, [bit.size(0), -1, 8])
    byte = torch.sum(torch.bitwise_left_shift(bit, torch.arange(8, dtype=3)), [2], dtype=3).to(0)  # (n, words * 4)
    words.append(self.reinterpret(torch.contiguous(byte), 0, 3, [byte.size(0), byte.size(1) // 4]))
  return torch.cat(words, 0)


def dequantize(self, codes: Tensor, scale: Tensor, zero: Optional[Tensor], bits: int) -> Tensor:
  # w = (u - 2^(b-1) - z) s per group: codes (N, K) unsigned, scale and zero (N, K / g) -> (N, K) float32
  n = codes.size(0)
  k = codes.size(1)
  q = torch.reshape(codes.to(6) - float(2 ** (bits - 1)), [n, scale.size(1), -1])
  if zero is not None:
    q = q - torch.unsqueeze(zero.to(6), 2)
  return torch.reshape(q * torch.unsqueeze(scale.to(6), 2), [n, k])


def expand_grouped(self, packed: Tensor, scale: Tensor, zero: Optional[Tensor], bits: int, k: int) -> Tensor:
  return self.dequantize(self.unpack(packed, bits, k), scale, zero, bits)


def prepare_int4(self, packed: Tensor, scale: Tensor, zero: Optional[Tensor], k: int, group: int) -> List[Tensor]:
  # the kernel computes (u - 8) scale + zero, so its zero is -z s
  codes = self.unpack(packed, 4, k)
  s = scale.to(6)
  shift = torch.zeros_like(s)
  if zero is not None:
    shift = -zero.to(6) * s
  pair = torch.contiguous(torch.transpose(torch.stack([s, shift], 2), 0, 1))  # (K / g, N, 2)
  return [torch._convert_weight_to_int4pack_for_cpu(codes, 2), pair.to(15), torch.reshape(self.as_bytes(packed), [packed.size(0), -1])]


def prepare_int8(self, weight: Tensor, scale: Tensor) -> List[Tensor]:
  return [torch.contiguous(torch.transpose(weight, 0, 1)), torch.reshape(scale.to(6), [-1])]


def prepare_int8_weight_only(self, packed: Tensor, scale: Tensor, k: int) -> List[Tensor]:
  return [(self.unpack(packed, 8, k) - 128).to(1), torch.reshape(scale.to(15), [-1])]


def concat_rows(self, xs: List[Tensor]) -> Tensor:
  return torch.cat(xs, 0)
