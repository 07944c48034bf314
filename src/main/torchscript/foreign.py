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
