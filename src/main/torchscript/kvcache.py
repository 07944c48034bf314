# Keys and values of the tokens seen so far, in float32 (b = 16) or in b = 8 or 4 bits: each head of each token is rounded by
# itself, x = u s + m with codes u from 0 to 2^b - 1. s and m are float32 for 8 bits and float16 for 4, as in FBGEMM's rows of
# embedding tables: codes, then s, then m, b bytes for both. Its embedding bag, which runs on the processor only, adds up
# weighted rows of codes without writing them out as floats, and that is all that one token's attention does:
#
#   values  (B, g, capacity, row)       a row is one token: p V is one bag of S rows, weighted by p
#   keys    (B, g, blocks, hd, row)     a row is one channel of the G tokens of a block, with s = 1 and m = 0: q . u is a bag
#                                       of hd rows per block, weighted by q
#   ranges  (B, g, 2, capacity)         s and m of the tokens' keys: q . k = (q . u) s + (sum of q) m
#
# Where pages are chosen (pages.py) ranges are those of float keys, for the native kernels, 16 pages side by side: for each
# coordinate their greatest numbers and their least, (B, g, pages / 16, hd, 2, 16).
#
# Keys in 4 bits are kept as k H, with H orthogonal, which spreads a large channel over its head; queries turn alike.


def new_keys(self, batch: int, heads: int, capacity: int, width: int, blocks: int, bits: int, device: str) -> List[Tensor]:
  if bits == 16:
    return self.new_cache(batch, heads, capacity, width, blocks, device)
  parts = (capacity + 255) // 256
  tokens = ((capacity + parts - 1) // parts + 31) // 32 * 32  # G: bags of up to 256 are fast, and few places stay unused
  end = tokens * bits // 8
  keys = [torch.zeros([batch, heads, parts, width, end + bits], dtype=0) for i in range(blocks)]
  for k in keys:
    # the bytes of s = 1, little endian
    if bits == 8:
      torch.fill_(torch.select(k, 4, end + 2), 128)
      torch.fill_(torch.select(k, 4, end + 3), 63)
    else:
      torch.fill_(torch.select(k, 4, end + 1), 60)
  return keys


def new_ranges(self, batch: int, heads: int, capacity: int, blocks: int, bits: int) -> List[Tensor]:
  positions = 0 if bits == 16 else capacity
  return [torch.zeros([batch, heads, 2, positions], dtype=5 if bits == 4 else 6) for i in range(blocks)]


def new_bounds(self, batch: int, heads: int, pages: int, width: int, blocks: int, device: str) -> List[Tensor]:
  return torch.unbind(torch.empty([blocks, batch, heads, (pages + 15) // 16, width, 2, 16], device=torch.device(device)), 0)


def new_values(self, batch: int, heads: int, capacity: int, width: int, blocks: int, bits: int, device: str) -> List[Tensor]:
  if bits == 16:
    return self.new_cache(batch, heads, capacity, width, blocks, device)
  return [torch.zeros([batch, heads, capacity, width * bits // 8 + bits], dtype=0) for i in range(blocks)]


def hadamard(self, width: int) -> Tensor:
  # Sylvester's matrix, over sqrt(n), along the diagonal: n is the largest power of two in width
  block = torch.ones([1, 1])
  while width % (2 * block.size(0)) == 0:
    block = torch.cat([torch.cat([block, block], 1), torch.cat([block, -block], 1)], 0)
  return torch.contiguous(torch.kron(torch.eye(width // block.size(0)), block)) / float(block.size(0)) ** 0.5


def write_keys(self, x: Tensor, position: int, bits: int, k: Tensor, ranges: Tensor) -> Tensor:
  # x (B, g, T, hd)
  T = x.size(2)
  if bits == 16:
    k[:, :, position:position + T] = x
    return k
  levels = float(2 ** bits - 1)
  m = torch.amin(x, [3], True).to(ranges.dtype)
  s = torch.clamp_min((torch.amax(x, [3], True) - m) / levels, 1e-5).to(ranges.dtype)
  u = torch.clamp(torch.round((x - m) / s), 0., levels).to(0)
  ranges[:, :, :, position:position + T] = torch.transpose(torch.cat([s, m], 3), 2, 3)
  G = (k.size(4) - bits) * 8 // bits
  first = 0
  while first < T:
    at = (position + first) % G
    n = min(T - first, G - at)
    piece = torch.transpose(u[:, :, first:first + n], 2, 3)  # (B, g, hd, n)
    rows = torch.select(k, 2, (position + first) // G)
    if bits == 8:
      rows[:, :, :, at:at + n] = piece
    else:
      self.write_nibbles(piece, at, rows)
    first = first + n
  return k


def write_nibbles(self, x: Tensor, at: int, rows: Tensor) -> Tensor:
  # two tokens share a byte, the even one below; the first may already have a neighbour
  if at % 2 == 1:
    x = torch.cat([torch.bitwise_and(rows[:, :, :, at // 2:at // 2 + 1], 15), x], 3)
  if x.size(3) % 2 == 1:
    x = torch.constant_pad_nd(x, [0, 1], 0)
  rows[:, :, :, at // 2:at // 2 + x.size(3) // 2] = torch.bitwise_or(
      x[:, :, :, ::2], torch.bitwise_left_shift(x[:, :, :, 1::2], 4))
  return rows


def write_values(self, x: Tensor, position: int, bits: int, v: Tensor) -> Tensor:
  # x (B, g, T, hd)
  T = x.size(2)
  if bits == 16:
    v[:, :, position:position + T] = x
    return v
  rows = torch.reshape(x, [-1, x.size(3)])
  if bits == 8:
    packed = ops.quantized.embedding_bag_byte_prepack(rows)
  else:
    packed = ops.quantized.embedding_bag_4bit_prepack(rows)
  v[:, :, position:position + T] = torch.reshape(packed, [x.size(0), x.size(1), T, -1])
  return v


def read_keys(self, k: Tensor, ranges: Tensor, bits: int, S: int) -> Tensor:
  # -> (B, g, S, hd) float32
  if bits == 16:
    return k[:, :, :S]
  end = k.size(4) - bits
  G = end * 8 // bits
  blocks = (S + G - 1) // G
  u = k[:, :, :blocks, :, :end]
  if bits == 4:
    u = torch.stack([torch.bitwise_and(u, 15), torch.bitwise_right_shift(u, 4)], 5)
  u = torch.reshape(u, [k.size(0), k.size(1), blocks, k.size(3), G])
  u = torch.reshape(torch.transpose(u, 3, 4), [k.size(0), k.size(1), blocks * G, k.size(3)])[:, :, :S].to(6)
  range = torch.transpose(ranges[:, :, :, :S].to(6), 2, 3)
  return torch.addcmul(range[:, :, :, 1:], u, range[:, :, :, :1])


def read_values(self, v: Tensor, bits: int, S: int) -> Tensor:
  # -> (B, g, S, hd) float32
  if bits == 16:
    return v[:, :, :S]
  rows = torch.reshape(v[:, :, :S], [-1, v.size(3)])
  if bits == 8:
    x = ops.quantized.embedding_bag_byte_unpack(rows)
  else:
    x = ops.quantized.embedding_bag_4bit_unpack(rows)
  return torch.reshape(x, [v.size(0), v.size(1), S, -1])


def cache_rows(self, k: Tensor, v: Tensor, heads: int, S: int, bits: List[int]) -> List[Tensor]:
  # the rows that make up the bags of one token's attention, and where each bag starts: keys, then values; h heads
  B = k.size(0)
  g = k.size(1)
  owner = torch.floor_divide(torch.arange(B * heads, dtype=3), heads // g)  # (B h,): which of the B g heads it reads
  rows = annotate(List[Tensor], [])
  if bits[0] == 16:
    rows.extend([owner, owner])
  else:
    hd = k.size(3)
    G = (k.size(4) - bits[0]) * 8 // bits[0]
    blocks = (S + G - 1) // G
    block = torch.unsqueeze(owner * k.size(2), 1) + torch.arange(blocks, dtype=3)  # (B h, blocks)
    row = torch.unsqueeze(block * hd, 2) + torch.arange(hd, dtype=3)
    rows.extend([torch.reshape(row, [-1]), torch.arange(0, B * heads * blocks * hd, hd, dtype=3)])
  if bits[1] == 16:
    rows.extend([owner, owner])
  else:
    row = torch.unsqueeze(owner * v.size(2), 1) + torch.arange(S, dtype=3)  # (B h, S)
    rows.extend([torch.reshape(row, [-1]), torch.arange(0, B * heads * S, S, dtype=3)])
  return rows


def bags(self, table: Tensor, weights: Tensor, rows: Tensor, starts: Tensor, bits: int) -> Tensor:
  # table (N, row), weights and rows (M,), starts (n,) -> (n, codes in a row): sums of weighted rows
  if bits == 8:
    return ops.quantized.embedding_bag_byte_rowwise_offsets(table, rows, starts, False, 0, False, weights, None, False)
  return ops.quantized.embedding_bag_4bit_rowwise_offsets(table, rows, starts, False, 0, False, weights, None, False)


def attend_cached(self, q: Tensor, cache: List[Tensor], bits: List[int], S: int) -> Tensor:
  # q (B, h, 1, hd) -> (B, 1, h hd); cache = [k, v, ranges, H, rows of keys, their starts, rows of values, their starts]
  B = q.size(0)
  h = q.size(1)
  hd = q.size(3)
  k = cache[0]
  v = cache[1]
  g = k.size(1)
  q = torch.reshape(q, [B, g, h // g, hd]) / float(hd) ** 0.5
  if bits[0] == 16:
    scores = torch.matmul(q, torch.transpose(k[:, :, :S], 2, 3))  # (B, g, h / g, S)
  else:
    blocks = cache[5].size(0) // (B * h)
    weights = torch.expand(torch.reshape(q, [B * h, 1, hd]), [B * h, blocks, hd])
    u = self.bags(torch.reshape(k, [-1, k.size(4)]), torch.reshape(weights, [-1]), cache[4], cache[5], bits[0])
    u = torch.reshape(u, [B, g, h // g, -1])[:, :, :, :S]
    range = cache[2][:, :, :, :S].to(6)
    scores = torch.addcmul(u * range[:, :, :1], torch.sum(q, [3], True), range[:, :, 1:])
  p = torch.softmax(scores, -1)
  if bits[1] == 16:
    o = torch.matmul(p, v[:, :, :S])
  else:
    o = self.bags(torch.reshape(v, [-1, v.size(3)]), torch.reshape(p, [-1]), cache[6], cache[7], bits[1])
  return torch.reshape(o, [B, 1, h * hd])


def copy_cache(self, from_k: List[Tensor], from_v: List[Tensor], from_ranges: List[Tensor], k: List[Tensor],
               v: List[Tensor], ranges: List[Tensor], n: int, bits: List[int]) -> int:
  # the first n positions into a cache of another capacity
  for i in range(len(k)):
    v[i][:, :, :n] = from_v[i][:, :, :n]
    if ranges[i].dim() == 4:
      ranges[i][:, :, :, :n] = from_ranges[i][:, :, :, :n]
    else:  # bounds of pages
      m = min(ranges[i].size(2), from_ranges[i].size(2))
      ranges[i][:, :, :m] = from_ranges[i][:, :, :m]
    if bits[0] == 16:
      k[i][:, :, :n] = from_k[i][:, :, :n]
    else:
      self.copy_key_codes(from_k[i], k[i], n, bits[0])
  return n


def copy_key_codes(self, source: Tensor, target: Tensor, n: int, bits: int) -> Tensor:
  # blocks hold G tokens, a multiple of 32, so pieces that end with a block of either start at a whole byte
  G = (source.size(4) - bits) * 8 // bits
  H = (target.size(4) - bits) * 8 // bits
  first = 0
  while first < n:
    count = min(n - first, min(G - first % G, H - first % H))
    bytes = (count * bits + 7) // 8
    a = first % G * bits // 8
    b = first % H * bits // 8
    target[:, :, first // H, :, b:b + bytes] = source[:, :, first // G, :, a:a + bytes]
    first = first + count
  return target
