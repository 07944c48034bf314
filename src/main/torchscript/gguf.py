# Numbers out of the blocks of GGUF's types (ggml-common.h of llama.cpp). `b` is blocks as bytes, (n, bytes of a block);
# `type` is ggml's number. Floats come as llama.cpp's reference functions compute them, bit for bit.


def gguf_half(self, b: Tensor, at: int) -> Tensor:
  # the float16 at byte `at` of each block -> (n, 1) float32
  return self.reinterpret(torch.clone(b[:, at:at + 2]), 0, 5, [b.size(0), 1]).to(6)


def gguf_nibbles(self, b: Tensor) -> Tensor:
  # (n, ..., m) bytes -> (n, ..., 2 m): all low halves, then all high ones
  return torch.cat([torch.bitwise_and(b, 15), torch.bitwise_right_shift(b, 4)], -1)


def gguf_bits(self, b: Tensor) -> Tensor:
  # (n, m) bytes -> (n, 8 m) bits, lowest first
  bit = torch.bitwise_and(torch.bitwise_right_shift(torch.unsqueeze(b, 2), torch.arange(8, dtype=0)), 1)
  return torch.reshape(bit, [b.size(0), -1])


def gguf_codes(self, b: Tensor, type: int) -> Tensor:
  # codes from 0 (n, numbers of a block) uint8; Q8_0's signed ones plus 128
  n = b.size(0)
  if type == 8:  # Q8_0
    return b[:, 2:] + 128
  if type == 2:  # Q4_0
    return self.gguf_nibbles(b[:, 2:])
  if type == 3:  # Q4_1
    return self.gguf_nibbles(b[:, 4:])
  if type == 6:  # Q5_0
    return self.gguf_nibbles(b[:, 6:]) + self.gguf_bits(b[:, 2:6]) * 16
  if type == 7:  # Q5_1
    return self.gguf_nibbles(b[:, 8:]) + self.gguf_bits(b[:, 4:8]) * 16
  if type == 14:  # Q6_K: two halves of 128, of whose upper bits a byte has four pairs
    low = self.gguf_nibbles(torch.reshape(b[:, :128], [n, 2, 64]))
    high = torch.reshape(b[:, 128:192], [n, 2, 1, 32])
    high = torch.bitwise_and(torch.bitwise_right_shift(high, torch.reshape(torch.arange(0, 8, 2, dtype=0), [4, 1])), 3)
    return torch.reshape(low + torch.reshape(high, [n, 2, 128]) * 16, [n, 256])
  # Q4_K and Q5_K: of 32 bytes the low halves, then the high ones; Q5_K has fifth bits apart
  fifth = type == 13
  low = self.gguf_nibbles(torch.reshape(b[:, 48 if fifth else 16:], [n, 4, 32]))
  codes = torch.reshape(low, [n, 8, 32])
  if fifth:
    bit = torch.bitwise_right_shift(torch.reshape(b[:, 16:48], [n, 1, 32]), torch.reshape(torch.arange(8, dtype=0), [8, 1]))
    codes = codes + torch.bitwise_and(bit, 1) * 16
  return torch.reshape(codes, [n, 256])


def gguf_scales(self, b: Tensor, type: int) -> Tensor:
  # (n, groups of a block) float32
  if type == 14:
    return self.gguf_half(b, 208) * self.reinterpret(torch.clone(b[:, 192:208]), 0, 1, [b.size(0), 16]).to(6)
  if type == 12 or type == 13:  # eight of 6 bits; the upper bits of the last four lie above the first four
    s = b[:, 4:16]
    upper = torch.bitwise_or(torch.bitwise_and(s[:, 8:], 15),
                             torch.bitwise_left_shift(torch.bitwise_right_shift(s[:, :4], 6), 4))
    return self.gguf_half(b, 0) * torch.cat([torch.bitwise_and(s[:, :4], 63), upper], 1).to(6)
  return self.gguf_half(b, 0)


def gguf_minima(self, b: Tensor, type: int) -> Tensor:
  # what is added to code times scale, (n, groups of a block) float32
  if type == 3 or type == 7:
    return self.gguf_half(b, 2)
  s = b[:, 4:16]
  upper = torch.bitwise_or(torch.bitwise_right_shift(s[:, 8:], 4),
                           torch.bitwise_left_shift(torch.bitwise_right_shift(s[:, 4:8], 6), 4))
  return -(self.gguf_half(b, 2) * torch.cat([torch.bitwise_and(s[:, 4:8], 63), upper], 1).to(6))


def gguf_dequantize(self, b: Tensor, type: int) -> Tensor:
  # (n, numbers of a block) float32
  codes = self.gguf_codes(b, type)
  scale = self.gguf_scales(b, type)
  q = torch.reshape(codes.to(6), [b.size(0), scale.size(1), -1])
  if type == 3 or type == 7 or type == 12 or type == 13:
    w = q * torch.unsqueeze(scale, 2) + torch.unsqueeze(self.gguf_minima(b, type), 2)
  else:
    centre = 128. if type == 8 else 8. if type == 2 else 16. if type == 6 else 32.
    w = (q - centre) * torch.unsqueeze(scale, 2)
  return torch.reshape(w, [b.size(0), -1])


def gguf_floats(self, b: Tensor, type: int, n: int, k: int, dtype: int) -> Tensor:
  # (N, K) of `dtype`, some blocks at a time
  w = torch.empty([b.size(0), n * k // b.size(0)], dtype=dtype)
  for first in range(0, b.size(0), 8192):
    torch.copy_(w[first:first + 8192], self.gguf_dequantize(b[first:first + 8192], type))
  return torch.reshape(w, [n, k])


def gguf_packed(self, b: Tensor, type: int, bits: int, n: int, k: int) -> Tensor:
  # codes as Lithe packs them, (N, ceil(K b / 32)) int32
  rows = b.size(0) // n  # blocks of a row
  slice = max(1, 8192 // rows)
  packed = annotate(List[Tensor], [])
  for first in range(0, n, slice):
    part = b[first * rows:(first + slice) * rows]
    packed.append(self.pack(torch.reshape(self.gguf_codes(part, type), [-1, k]), bits))
  return torch.cat(packed, 0)


def gguf_group_scales(self, b: Tensor, type: int, n: int, dtype: int) -> Tensor:
  # (N, groups of a row)
  scales = annotate(List[Tensor], [])
  for first in range(0, b.size(0), 8192):
    scales.append(self.gguf_scales(b[first:first + 8192], type).to(dtype))
  return torch.reshape(torch.cat(scales, 0), [n, -1])
