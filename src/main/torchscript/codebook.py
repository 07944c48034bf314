# Weights as indices into a table of numbers, times a scale per group of inputs.


def double_quantize(self, scale: Tensor) -> List[Tensor]:
  # scale (N, G) float32 -> int8 (N, G), a scale per 256 of them row by row, and their mean (1): s = mean + int8 block
  mean = torch.reshape(torch.mean(scale), [1])
  rest = torch.reshape(scale - mean, [-1])
  blocks = (rest.numel() + 255) // 256
  padded = torch.reshape(torch.constant_pad_nd(rest, [0, blocks * 256 - rest.numel()], 0), [blocks, 256])
  block = torch.clamp_min(torch.amax(torch.abs(padded), [1], True) / 127., 1e-30)  # (blocks, 1)
  code = torch.reshape(torch.round(padded / block), [-1])[:rest.numel()]
  return [torch.reshape(code, scale.size()).to(1), torch.squeeze(block, 1), mean]


def nearest_entries(self, w: Tensor, table: Tensor, scale: Tensor, bits: int) -> Tensor:
  # w (N, K), ascending table (2^b), scale (N, K / g) as it will be read back -> packed indices of the nearest entries
  n = w.size(0)
  k = w.size(1)
  s = torch.unsqueeze(torch.where(scale == 0., torch.ones_like(scale), scale), 2)
  middle = (table[1:] + table[:-1]) / 2.
  words = annotate(List[Tensor], [])
  slice = max(1, 262144 // k)
  for first in range(0, n, slice):
    x = torch.reshape(w[first:first + slice].to(6), [-1, scale.size(1), k // scale.size(1)])
    words.append(self.pack(torch.reshape(torch.bucketize(x / s[first:first + slice], middle), [-1, k]), bits))
  return torch.cat(words, 0)


def absmax(self, w: Tensor, group: int, scale_dtype: int) -> Tensor:
  # w (N, K) -> the largest magnitude of each group (N, K / g)
  x = torch.reshape(w, [w.size(0), -1, group])
  return self.stored_scale(torch.amax(torch.abs(x.to(6)), [2]), scale_dtype)
