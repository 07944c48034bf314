# The forms of a linear layer y = x Wᵀ + b, as the forward pass runs them. x is (..., K), W is (N, K), y is (..., N).
#
# A model keeps its weights in one flat list of tensors `w`, and those that libtorch packs itself in another, `packed`. Each
# part (a whole linear, or several fused by rows) is four integers in `parts`: kind, index of its first tensor in `w` (in
# `packed` for kinds 1, 2, 5 and 6), group size (for kinds 5 and 6 the index of its scale in `w`), index of its bias in `w`
# or -1.
#
#   kind 0  float32            W (N, K)
#   kind 1  float16            W packed; computes and accumulates in float32
#   kind 2  int8, dynamic      W packed with a scale per row; x is quantized per token
#   kind 3  the same where the processor has no 8-bit dot product, and on CUDA: Wᵀ (K', N') int8, scale (N,); the third integer
#           is how many rows x needs at least
#   kind 4  int4 grouped       W in _weight_int4pack_mm's layout, [scale, zero] (K/g, N, 2), and for many rows W as bytes
#                              (K/2, N), scale and shift (K/g, 1, N), in bfloat16 or else in float32
#   kind 5  scaled rows        W packed in float16, which holds int8 and float8 exactly; scale (N,)
#   kind 6  the same, float8 x is rounded to float8 per token
#   kind 7  the same where libtorch has no packed float16: W (N, K) float32
#   kind 8  two factors: the next part reads x, the one after it what that made of it; where the second integer is 1, a third
#           reads x too, and its output is added
#
# On CUDA only, where nothing is packed and products are of the type of W:
#
#   kind 9  scaled rows        W (N, K) bfloat16, which holds int8 and float8 exactly; the index of its scale (N,) in `w`
#   kind 10 the same, float8   x is rounded to float8 per token
#   kind 11 float8             Wᵀ (K, N) float8 by columns, scale (N,), 1 (1,)
#   kind 12 int4 grouped       as kind 4, with W as tensor cores read it


def linear(self, x: Tensor, part: int, w: List[Tensor],
           packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int]) -> Tensor:
  kind = parts[4 * part]
  i = parts[4 * part + 1]
  group = parts[4 * part + 2]
  bias = parts[4 * part + 3]
  if kind == 0:
    y = torch.linear(x.to(w[i].dtype), w[i]).to(6)
  elif kind == 1:
    y = ops.quantized.linear_dynamic_fp16(x, packed[i])
  elif kind == 5:
    y = torch.mul_(ops.quantized.linear_dynamic_fp16(x, packed[i]), w[group])
  elif kind == 6:
    q, s = self.round_float8(x)
    y = torch.mul_(torch.mul_(ops.quantized.linear_dynamic_fp16(q, packed[i]), s), w[group])
  elif kind == 7:
    q, s = self.round_float8(x)
    y = torch.mul_(torch.linear(q, w[i]), s)
  elif kind == 9:
    y = torch.mul_(torch.linear(x.to(w[i].dtype), w[i]).to(6), w[group])
  elif kind == 10:
    q, s = self.round_float8(x)
    y = torch.mul_(torch.mul_(torch.linear(q.to(w[i].dtype), w[i]).to(6), s), w[group])
  else:
    rows = torch.reshape(x, [-1, x.size(-1)])
    if kind == 2:
      y = self.int8_dynamic(rows, packed[i])
    elif kind == 3:
      y = self.int8_dynamic_matmul(rows, w[i], w[i + 1], group)
    elif kind == 11:
      y = self.float8_matmul(rows, w[i], w[i + 1], w[i + 2])
    else:
      y = self.int4_grouped(rows, w[i:i + 5], group, kind == 12)
    shape = x.size()
    shape[len(shape) - 1] = y.size(-1)
    y = torch.reshape(y, shape)
  if bias >= 0:
    y = y + w[bias]
  return y


def int8_dynamic(self, x: Tensor, w: __torch__.torch.classes.quantized.LinearPackedParamsBase) -> Tensor:
  # linear_dynamic takes one range for the whole of x. For one row its negative makes that range symmetric; several are
  # scaled to a largest magnitude of 1, and rows of 1 and -1 fix the range, so that no row depends on its neighbours.
  if x.size(0) == 1:
    return ops.quantized.linear_dynamic(torch.cat([x, -x], 0), w, False)[:1]
  peak = torch.clamp_min(torch.amax(torch.abs(x), [1], True), 1e-12)  # (M, 1)
  y = x / peak
  one = torch.ones_like(y[:1])
  return ops.quantized.linear_dynamic(torch.cat([y, one, -one], 0), w, False)[:x.size(0)] * peak


def int8_dynamic_matmul(self, x: Tensor, wt: Tensor, scale: Tensor, least: int) -> Tensor:
  # K' and N' are K and N, or the next multiples of what the product takes; `least` rows of x are multiplied at least
  s = torch.clamp_min(torch.amax(torch.abs(x), [1], True) / 127.5, 1e-12)  # (M, 1)
  q = torch.clamp(torch.round(x / s), -128., 127.).to(1)  # (M, K)
  if wt.size(0) > q.size(1) or least > q.size(0):
    q = torch.constant_pad_nd(q, [0, wt.size(0) - q.size(1), 0, max(0, least - q.size(0))], 0)
  return torch._int_mm(q, wt)[:x.size(0), :scale.size(0)].to(6) * s * scale  # (M, N)


def float8_matmul(self, x: Tensor, wt: Tensor, scale: Tensor, one: Tensor) -> Tensor:
  s = torch.clamp_min(torch.amax(torch.abs(x), [1], True) / 448., 1e-12)  # (M, 1)
  return torch._scaled_mm((x / s).to(24), wt, one, one, None, None, 6) * s * scale  # (M, N)


def round_float8(self, x: Tensor) -> Tuple[Tensor, Tensor]:
  # E4M3 numbers and their scale per token (..., 1): x ≈ q s, and the largest magnitude becomes E4M3's, 448
  s = torch.clamp_min(torch.amax(torch.abs(x), [-1], True) / 448., 1e-12)
  return ((x / s).to(24).to(6), s)


def int4_grouped(self, x: Tensor, w: List[Tensor], group: int, tiles: bool) -> Tensor:
  # In bfloat16, the type for which libtorch's kernel is vectorized (it is 50 times slower in float32); its rounding is far
  # below the weights'. Many rows pay for unpacking once, into what the processor multiplies. A byte holds an even input below
  # and an odd one above: x Wᵀ = x_even W_evenᵀ + x_odd W_oddᵀ, without interleaving.
  if x.size(0) < 16:
    if tiles:
      return torch._weight_int4pack_mm(x.to(15), w[0], group, w[1]).to(6)
    return torch._weight_int4pack_mm_for_cpu(x.to(15), w[0], group, w[1]).to(6)
  x = x.to(w[3].dtype)
  even = self.scale_codes(torch.bitwise_and(w[2], 15), w[3], w[4])  # (K / 2, N)
  odd = self.scale_codes(torch.bitwise_right_shift(w[2], 4), w[3], w[4])
  return torch.matmul(x[:, ::2], even).to(6) + torch.matmul(x[:, 1::2], odd).to(6)


def scale_codes(self, u: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
  # codes (n, N) -> u scale + shift, with scale and shift (G, 1, N): the long dimension is the innermost of both
  grouped = torch.reshape(u, [scale.size(0), -1, u.size(1)]).to(scale.dtype)
  return torch.reshape(torch.addcmul(shift, grouped, scale), [-1, u.size(1)])


def project(self, x: Tensor, slot: int, w: List[Tensor],
            packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int],
            slots: List[int]) -> Tensor:
  # a slot is one place in a block; its parts read the same x, and their outputs lie side by side
  first = slots[slot]
  last = slots[slot + 1]
  if last - first == 1:
    return self.linear(x, first, w, packed, parts)
  y = annotate(List[Tensor], [])
  part = first
  while part < last:
    if parts[4 * part] == 8:
      z = self.linear(x, part + 1, w, packed, parts)
      z = self.linear(z, part + 2, w, packed, parts)
      if parts[4 * part + 1] == 1:
        z = z + self.linear(x, part + 3, w, packed, parts)
      y.append(z)
      part = part + 3 + parts[4 * part + 1]
    else:
      y.append(self.linear(x, part, w, packed, parts))
      part = part + 1
  if len(y) == 1:
    return y[0]
  return torch.cat(y, -1)


def new_packed(self) -> List[__torch__.torch.classes.quantized.LinearPackedParamsBase]:
  # not from a literal [], as in new_list
  packed = [ops.quantized.linear_prepack(torch.quantize_per_tensor(torch.ones([1, 1]), 1., 0, 12), None)]
  packed.clear()
  return packed


def pack_float16(self, w: Tensor, packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase]) -> int:
  packed.append(ops.quantized.linear_prepack_fp16(w.to(6), None))
  return len(packed) - 1


def pack_int8(self, w: Tensor, scale: Tensor, packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase]) -> int:
  # codes w (N, K) int8 and their scale (N, 1); scales may be negative here but not there, so a row's sign goes to its codes
  s = torch.reshape(scale.to(6), [-1])
  sign = torch.where(s < 0., -1., 1.)
  # a negated -128 has no code; one part in 128 of the row's largest weight is given up
  code = torch.clamp(w.to(6) * torch.unsqueeze(sign, 1), -128., 127.)
  q = torch._make_per_channel_quantized_tensor(code.to(1), torch.abs(s), torch.zeros_like(s, dtype=4), 0)
  packed.append(ops.quantized.linear_prepack(q, None))
  return len(packed) - 1


def float16_works(self) -> bool:
  packed = self.new_packed()
  i = self.pack_float16(torch.ones([16, 64]), packed)
  y = ops.quantized.linear_dynamic_fp16(torch.ones([1, 64]), packed[i])
  return bool(torch.all(torch.eq(y, 64.)))


def int8_works(self) -> bool:
  # without an 8-bit dot product the largest codes overflow 16 bits on the way, silently
  packed = self.new_packed()
  i = self.pack_int8(torch.full([16, 64], 127.).to(1), torch.ones([16, 1]), packed)
  y = self.int8_dynamic(torch.ones([1, 64]), packed[i])
  return bool(torch.all(torch.abs(y / (64. * 127.) - 1.) < 0.02))


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
  padding = [0, (32 - k * bits % 32) % 32 // bits] if 8 % bits == 0 else [0, (32 - k * bits % 32) % 32]
  slice = max(1, 262144 // k)
  words = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    code = codes[first:first + slice].to(0)
    if 8 % bits == 0:
      code = torch.constant_pad_nd(code, padding, 0)
      byte = code[:, ::8 // bits]
      for i in range(1, 8 // bits):
        byte = byte + torch.bitwise_left_shift(code[:, i::8 // bits], i * bits)
    else:
      bit = torch.bitwise_and(torch.bitwise_right_shift(torch.unsqueeze(code, 2), torch.arange(bits, dtype=0)), 1)
      bit = torch.constant_pad_nd(torch.reshape(bit, [-1, k * bits]), padding, 0)
      bit = torch.reshape(bit, [bit.size(0), -1, 8])
      byte = torch.sum(torch.bitwise_left_shift(bit, torch.arange(8, dtype=0)), [2], dtype=0)  # (n, words * 4)
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


def fractional_zero(self, zero: Tensor, bits: int) -> Tensor:
  # bytes (N, K / g), 256 steps of the codes' range -> zero points among the signed codes
  return zero.to(6) * 2. ** (bits - 8) - float(2 ** (bits - 1))


def expand_grouped(self, packed: Tensor, scale: Tensor, zero: Optional[Tensor], bits: int, k: int) -> Tensor:
  return self.dequantize(self.unpack(packed, bits, k), scale, zero, bits)


def expand_int8(self, weight: Tensor, scale: Tensor) -> Tensor:
  return weight.to(6) * scale.to(6)


def prepare_int4(self, packed: Tensor, scale: Tensor, zero: Optional[Tensor], k: int, dtype: int) -> List[Tensor]:
  # the kernel computes (u - 8) scale + zero, so its zero is -z s; `dtype` is what many rows are multiplied in
  codes = self.unpack(packed, 4, k)
  s = torch.contiguous(torch.transpose(scale.to(6), 0, 1))  # (K / g, N)
  z = torch.zeros_like(s)
  if zero is not None:
    z = -torch.transpose(zero.to(6), 0, 1) * s
  pair = torch.stack([s, z], 2).to(15)
  bytes = torch.reshape(self.as_bytes(packed), [packed.size(0), -1])[:, :k // 2]  # (N, K / 2)
  return [codes, pair, torch.contiguous(torch.transpose(bytes, 0, 1)), torch.unsqueeze(s, 1).to(dtype),
          torch.unsqueeze(z - 8. * s, 1).to(dtype)]


def int4_rows(self, codes: Tensor) -> Tensor:
  return torch._convert_weight_to_int4pack_for_cpu(codes, 2)


def int4_bytes(self, codes: Tensor) -> Tensor:
  # two codes a byte (N, K / 2), the even one above
  u = codes.to(0)
  return torch.bitwise_or(torch.bitwise_left_shift(u[:, ::2], 4), u[:, 1::2])


def int4_tiles(self, bytes: Tensor) -> Tensor:
  # bytes (N, K / 2) on the device -> (N / 8, K / 16 n, 32, n / 2) int32, n tiles of 16 inputs side by side
  k = 2 * bytes.size(1)
  return torch._convert_weight_to_int4pack(bytes, 8 if k % 128 == 0 else 4 if k % 64 == 0 else 2)


def int4_tiles_work(self, device: str) -> bool:
  # codes of 9 mean 1; chips before compute capability 8.0 have no such product
  d = torch.device(device)
  w = self.int4_tiles(torch.full([16, 16], 153, dtype=0, device=d))
  pair = torch.stack([torch.ones([1, 16]), torch.zeros([1, 16])], 2).to(15).to(d)
  y = torch._weight_int4pack_mm(torch.ones([1, 32]).to(15).to(d), w, 32, pair)
  return bool(torch.all(torch.eq(y, 32.)))


def float8_matmul_works(self, device: str) -> bool:
  # chips before compute capability 8.9 have none
  d = torch.device(device)
  one = torch.ones([1], device=d)
  wt = torch.transpose(torch.ones([16, 32]).to(24).to(d), 0, 1)
  y = self.float8_matmul(torch.ones([1, 32], device=d), wt, torch.ones([16], device=d), one)
  return bool(torch.all(torch.abs(y / 32. - 1.) < 0.01))


def scale_of_rows(self, scale: Tensor, n: int) -> Tensor:
  # (N, 1), or (1) for all rows -> (N,)
  return torch.contiguous(torch.expand(torch.reshape(scale.to(6), [-1]), [n]))


def scale_rows(self, w: Tensor, scale: Tensor) -> Tensor:
  return w * torch.unsqueeze(scale, 1)


def group_scales(self, values: Tensor, block: Optional[Tensor], mean: Optional[Tensor]) -> Tensor:
  # (N, G) floats, or int8 that share a scale per block of 256, row by row
  s = values.to(6)
  if block is None or mean is None:
    return s
  each = torch.repeat_interleave(block, 256)[:s.numel()]
  return torch.reshape(torch.reshape(s, [-1]) * each, s.size()) + mean


def expand_codebook(self, indices: Tensor, table: Tensor, scale: Optional[Tensor], bits: int, k: int) -> Tensor:
  # table (1, 2^b) or (N, 2^b), scale (N, K / g) or none -> (N, K) float32
  n = indices.size(0)
  index = self.unpack(indices, bits, k).to(4)
  w = torch.gather(torch.expand(table.to(6), [n, table.size(1)]), 1, index)
  if scale is None:
    return w
  return torch.reshape(torch.reshape(w, [n, scale.size(1), -1]) * torch.unsqueeze(scale, 2), [n, k])


def prepare_int8(self, weight: Tensor, scale: Tensor, multiple: int) -> List[Tensor]:
  # Wᵀ by rows; where K and N must be multiples of something, zeros are added and it is by columns, as CUDA has it
  s = torch.reshape(scale.to(6), [-1])
  if multiple == 1:
    return [torch.contiguous(torch.transpose(weight, 0, 1)), s]
  n = weight.size(0)
  k = weight.size(1)
  padded = torch.constant_pad_nd(weight, [0, -k % multiple, 0, -n % multiple], 0)
  return [torch.transpose(torch.contiguous(padded), 0, 1), s]


def product(self, left: Tensor, right: Tensor, base: Optional[Tensor]) -> Tensor:
  # (N, r) (r, K) + (N, K)
  y = torch.matmul(left, right)
  return y if base is None else y + base


def transposed_copy(self, x: Tensor) -> Tensor:
  return torch.contiguous(torch.transpose(x, 0, 1))


def transposed(self, x: Tensor) -> Tensor:
  return torch.transpose(x, 0, 1)


def concat_rows(self, xs: List[Tensor]) -> Tensor:
  return torch.cat(xs, 0)
