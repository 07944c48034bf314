# Weights as other tools store them, turned into what Lithe stores. Letters as in linear.py: N outputs, K inputs, g weights per
# group, G = K / g.


def scale_for_rows(self, s: Tensor, n: int) -> Tensor:
  # one number -> (N, 1)
  return torch.contiguous(torch.expand(torch.reshape(s, [1, 1]), [n, 1]))


def expand_blocks(self, w: Tensor, s: Tensor, rows: int, columns: int, dtype: int) -> Tensor:
  # (N, K) times a scale per block of so many rows and columns
  n = w.size(0)
  k = w.size(1)
  y = torch.empty([n, k], dtype=dtype)
  for i in range(s.size(0)):
    scale = torch.repeat_interleave(s[i].to(6), columns)[:k]
    torch.copy_(y[i * rows:(i + 1) * rows], w[i * rows:(i + 1) * rows].to(6) * scale)
  return y


def expand_ordered(self, packed: Tensor, s: Tensor, zero: Optional[Tensor], order: Tensor, bits: int, dtype: int) -> Tensor:
  # packed codes (N, ceil(K b / 32)), scales (N, G), packed zeros, and the group of each column (K) -> (N, K)
  k = order.size(0)
  n = packed.size(0)
  group = order.to(4)
  w = torch.empty([n, k], dtype=dtype)
  z = torch.zeros([n, s.size(1)])
  if zero is not None:
    z = self.unpack_zero(zero, bits, n).to(6)
  slice = max(1, 1048576 // k)
  for first in range(0, n, slice):
    part = packed[first:first + slice]
    q = self.unpack(part, bits, k).to(6) - float(2 ** (bits - 1))
    q = q - torch.index_select(z[first:first + slice], 1, group)
    torch.copy_(w[first:first + slice], q * torch.index_select(s[first:first + slice].to(6), 1, group))
  return w


def turned(self, x: Tensor) -> Tensor:
  return torch.contiguous(torch.transpose(x, 0, 1))


def add_to_codes(self, words: Tensor, bits: int, by: int) -> Tensor:
  # adds `by`, 1 or -1, to each code of int32 words (R, W) as GPTQ's tools do: word by word where codes fill words, so that
  # what leaves a code goes to the next one, and is undone by the opposite; else code by code
  if 32 % bits != 0:
    codes = self.unpack(words, bits, words.size(1) * 32 // bits) + by
    return self.pack(torch.bitwise_and(codes, int(2 ** bits) - 1), bits)
  ones = int(torch.sum(torch.bitwise_left_shift(torch.ones([32 // bits]).to(4), torch.arange(0, 32, bits, dtype=4))))
  return torch.bitwise_and(words.to(4) + ones * by, 4294967295).to(3)


def count_zero_points(self, zero: Tensor, bits: int, n: int) -> int:
  # those of packed ones (ceil(N b / 32), G) that are not the middle code
  return int(torch.sum(self.unpack_zero(zero, bits, n) != 0))


def awq_codes(self, words: Tensor) -> Tensor:
  # (R, N / 8) int32 -> codes (N, R) uint8
  nibble = torch.bitwise_and(torch.bitwise_right_shift(torch.unsqueeze(words, 2), torch.arange(0, 32, 4, dtype=3)), 15).to(0)
  halves = torch.reshape(nibble, [words.size(0), -1, 2, 4])  # outputs 0, 2, 4, 6, then 1, 3, 5, 7
  return self.turned(torch.reshape(torch.transpose(halves, 2, 3), [words.size(0), -1]))


def middle_zeros(self, groups: int, n: int, bits: int) -> Tensor:
  # zero points of symmetric codes, packed along the outputs: (G, N b / 32) int32
  return self.pack(torch.full([groups, n], 2 ** (bits - 1), dtype=0), bits)


def group_of_columns(self, k: int, g: int) -> Tensor:
  return torch.floor_divide(torch.arange(k, dtype=3), g).to(3)
