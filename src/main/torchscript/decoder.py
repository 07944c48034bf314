# The forward pass of a Llama decoder. B sequences, T new tokens each, all at the same position; h query heads, g key-value
# heads of width hd; cache k, v: one tensor per block, (B, g, capacity, hd) where bits = [16, 16], else as in kvcache.py.


def rotary_tables(self, frequency: Tensor, length: int) -> List[Tensor]:
  angle = torch.arange(length, dtype=6).unsqueeze(1) * frequency  # (S, hd / 2)
  return [torch.cos(angle), torch.sin(angle)]


def new_cache(self, batch: int, heads: int, capacity: int, width: int, blocks: int) -> List[Tensor]:
  return [torch.zeros([batch, heads, capacity, width]) for i in range(blocks)]


def embed(self, table: List[Tensor], ids: Tensor) -> Tensor:
  # ids (B, T) -> (B, T, d); the table is floats (V, d), or codes (V, d) with scale and shift (V, G) of d / G weights each
  if len(table) == 1:
    return torch.embedding(table[0], ids).to(6)
  B = ids.size(0)
  T = ids.size(1)
  row = torch.reshape(ids, [-1])
  code = torch.reshape(torch.index_select(table[0], 0, row).to(6), [B * T, table[1].size(1), -1])
  scale = torch.unsqueeze(torch.index_select(table[1], 0, row), 2)
  shift = torch.unsqueeze(torch.index_select(table[2], 0, row), 2)
  return torch.reshape(torch.addcmul(shift, code, scale), [B, T, -1])


def embedding_of_int8(self, weight: Tensor, scale: Tensor) -> List[Tensor]:
  s = torch.contiguous(scale.to(6))
  return [weight, s, torch.zeros_like(s)]


def embedding_of_grouped(self, packed: Tensor, scale: Tensor, zero: Optional[Tensor], bits: int, k: int) -> List[Tensor]:
  # w = (u - 2^(b-1) - z) s
  s = torch.contiguous(scale.to(6))
  offset = torch.full_like(s, float(2 ** (bits - 1)))
  if zero is not None:
    offset = offset + zero.to(6)
  return [self.unpack(packed, bits, k).to(0), s, -offset * s]


def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
  # x (B, h, T, hd); the two halves of hd are the two coordinates
  half = x.size(3) // 2
  a = x[:, :, :, :half]
  b = x[:, :, :, half:]
  return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def attend(self, q: Tensor, k: Tensor, v: Tensor, position: int) -> Tensor:
  # q (B, h, T, hd), k and v (B, g, position + T, hd) -> (B, T, h hd)
  B = q.size(0)
  h = q.size(1)
  T = q.size(2)
  hd = q.size(3)
  g = k.size(1)
  S = k.size(2)
  if T == 1:
    # the queries of a group share its keys: (B, g, h / g, hd) x (B, g, S, hd)
    o = torch.scaled_dot_product_attention(torch.reshape(q, [B, g, h // g, hd]), k, v)
    return torch.reshape(o, [B, 1, h * hd])
  if g != h:
    k = torch.reshape(torch.expand(torch.unsqueeze(k, 2), [B, g, h // g, S, hd]), [B, h, S, hd])
    v = torch.reshape(torch.expand(torch.unsqueeze(v, 2), [B, g, h // g, S, hd]), [B, h, S, hd])
  if position == 0:
    o = torch.scaled_dot_product_attention(q, k, v, None, 0., True)
  else:
    seen = torch.tril(torch.ones([T, S], dtype=11), position)
    o = torch.scaled_dot_product_attention(q, k, v, seen)
  return torch.reshape(torch.transpose(o, 1, 2), [B, T, h * hd])


def attention(self, x: Tensor, layer: int, position: int, w: List[Tensor],
              packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
              norms: List[Tensor], heads: List[int], epsilon: float, cos: Tensor, sin: Tensor, cache: List[Tensor],
              bits: List[int]) -> Tensor:
  # x (B, T, d) -> what the output projection reads (B, T, h hd); heads = [h, g, hd]; slots of a block: qkv, o, gate-up, down;
  # cache = [k, v, ranges], and for fewer bits than 16 the rest of what attend_cached reads
  B = x.size(0)
  T = x.size(1)
  h = heads[0]
  g = heads[1]
  hd = heads[2]
  y = torch.rms_norm(x, [x.size(2)], norms[2 * layer], epsilon)
  qkv = self.project(y, 4 * layer, w, packed, parts, slots)  # (B, T, (h + 2 g) hd)
  qkv = torch.transpose(torch.reshape(qkv, [B, T, h + 2 * g, hd]), 1, 2)  # (B, h + 2 g, T, hd)
  qk = self.rotate(qkv[:, :h + g], cos, sin)
  if bits[0] == 4:
    qk = torch.matmul(qk, cache[3])
  k = self.write_keys(qk[:, h:], position, bits[0], cache[0], cache[2])
  v = self.write_values(qkv[:, h + g:], position, bits[1], cache[1])
  S = position + T
  if T == 1 and (bits[0] < 16 or bits[1] < 16):
    return self.attend_cached(qk[:, :h], cache, bits, S)
  return self.attend(qk[:, :h], self.read_keys(k, cache[2], bits[0], S), self.read_values(v, bits[1], S), position)


def gated(self, x: Tensor, layer: int, w: List[Tensor],
          packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
          norms: List[Tensor], epsilon: float) -> Tensor:
  # x (B, T, d) after attention -> what the down projection reads (B, T, f)
  y = torch.rms_norm(x, [x.size(2)], norms[2 * layer + 1], epsilon)
  gate, up = torch.chunk(self.project(y, 4 * layer + 2, w, packed, parts, slots), 2, -1)  # (B, T, f) each
  return torch.silu(gate) * up


def block(self, x: Tensor, layer: int, position: int, w: List[Tensor],
          packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
          norms: List[Tensor], heads: List[int], epsilon: float, cos: Tensor, sin: Tensor, cache: List[Tensor],
          bits: List[int]) -> Tensor:
  o = self.attention(x, layer, position, w, packed, parts, slots, norms, heads, epsilon, cos, sin, cache, bits)
  x = x + self.project(o, 4 * layer + 1, w, packed, parts, slots)
  y = self.gated(x, layer, w, packed, parts, slots, norms, epsilon)
  return x + self.project(y, 4 * layer + 3, w, packed, parts, slots)


def forward(self, ids: Tensor, position: int, all_positions: bool, embedding: List[Tensor], w: List[Tensor],
            packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int], norms: List[Tensor], heads: List[int], epsilon: float, cos: Tensor, sin: Tensor,
            k: List[Tensor], v: List[Tensor], ranges: List[Tensor], turn: Tensor, bits: List[int]) -> Tensor:
  # ids (B, T) -> logits (B, T, V), or (B, 1, V) of the last position
  T = ids.size(1)
  blocks = len(k)
  x = self.embed(embedding, ids)  # (B, T, d)
  c = cos[position:position + T]
  s = sin[position:position + T]
  shared = [turn]
  if T == 1 and (bits[0] < 16 or bits[1] < 16):
    shared.extend(self.cache_rows(k[0], v[0], heads[0], position + 1, bits))
  for layer in range(blocks):
    cache = [k[layer], v[layer], ranges[layer]]
    cache.extend(shared)
    x = self.block(x, layer, position, w, packed, parts, slots, norms, heads, epsilon, c, s, cache, bits)
  if not all_positions:
    x = x[:, T - 1:]
  x = torch.rms_norm(x, [x.size(2)], norms[2 * blocks], epsilon)
  return self.project(x, 4 * blocks, w, packed, parts, slots)
