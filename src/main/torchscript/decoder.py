# The forward pass of a decoder: Llama's, and what BlockStyle says of others. B sequences, T new tokens each, all at the same
# position; h query heads, g key-value heads of width hd; cache k, v: one tensor per block with attention, (B, g,
# capacity, hd) where bits = [16, 16], else as in kvcache.py.
#
#   norms    six per block, empty where it has none: before q, k, v; of q's heads; of k's; of what attention adds; before gate
#            and up; of what the feed-forward part adds. Then the last norm. (d), or (2, d) with biases
#   shape    the integers of shape.py, the windows last
#   numbers  [norm epsilon, attention scale, attention cap, logit cap, embedding scale], and where small inputs of linears count
#            as 0: the first position where they do, and the least that do not, of each block and slot
#   cos, sin (tables, S, r / 2): the last table is for blocks with a window; r of hd coordinates are rotated. Of all positions;
#            with sinks, and no H, of the T new tokens, and then those with which their queries meet the sinks


def rotary_tables(self, frequency: Tensor, magnitude: List[float], length: int) -> List[Tensor]:
  # frequency (tables, r / 2)
  angle = torch.reshape(torch.arange(length, dtype=6), [1, -1, 1]) * torch.unsqueeze(frequency, 1)
  m = torch.reshape(torch.tensor(magnitude, dtype=6), [-1, 1, 1])
  return [torch.cos(angle) * m, torch.sin(angle) * m]


def new_cache(self, batch: int, heads: int, capacity: int, width: int, blocks: int, device: str) -> List[Tensor]:
  # views of one tensor, so that one address tells where all are; not filled, for touching all of a long one takes many steps
  return torch.unbind(torch.empty([blocks, batch, heads, capacity, width], device=torch.device(device)), 0)


def numbers_of(self, settings: Tensor) -> List[float]:
  # of KernelSettings in one tensor
  return [float(settings[i]) for i in range(1, 6)]


def shape_of(self, settings: Tensor) -> List[int]:
  return [int(settings[i]) for i in range(6, settings.size(0))]


def named(self, shape: List[int]) -> __torch__.Shape:
  return __torch__.Shape(shape[0], shape[1], shape[2], shape[3], shape[4], shape[5], shape[6], shape[7], shape[8], shape[9],
                         shape[10], shape[11], shape[12:])


def embed(self, table: List[Tensor], ids: Tensor, scale: float, counts: List[int], positions: List[int]) -> Tensor:
  # ids (B, T) -> (B, T, d); behind what look_up reads `table` may have learned vectors of all positions (S, d)
  x = self.look_up(table, ids)
  if scale != 1.:
    x = x * scale
  if len(table) % 2 == 0:
    x = x + self.angles(torch.unsqueeze(table[len(table) - 1], 0), counts, positions)
  return x


def look_up(self, table: List[Tensor], ids: Tensor) -> Tensor:
  # ids (B, T) -> (B, T, d); the table is floats (V, d), or codes (V, d) with scale and shift (V, G) of d / G weights each
  ids = ids.to(table[0].device)
  if len(table) < 3:
    return table[0][ids].to(6)
  B = ids.size(0)
  T = ids.size(1)
  row = torch.reshape(ids, [-1])
  code = torch.reshape(table[0][row].to(6), [B * T, table[1].size(1), -1])
  scale = torch.unsqueeze(table[1][row], 2)
  shift = torch.unsqueeze(table[2][row], 2)
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
  # x (B, h, T, hd); the two halves of r are the two coordinates
  half = cos.size(-1)
  if half == 0:
    return x
  a = x[:, :, :, :half]
  b = x[:, :, :, half:2 * half]
  turned = [a * cos - b * sin, b * cos + a * sin]
  if 2 * half < x.size(3):
    turned.append(x[:, :, :, 2 * half:])
  return torch.cat(turned, -1)


def norm(self, x: Tensor, scale: Tensor, epsilon: float) -> Tensor:
  # scale (d); or that of a LayerNorm and its bias, (2, d)
  if scale.dim() == 2:
    return torch.layer_norm(x, [x.size(-1)], scale[0], scale[1], epsilon)
  return torch.rms_norm(x, [x.size(-1)], scale, epsilon)


def norm_heads(self, qk: Tensor, h: int, query: Tensor, key: Tensor, epsilon: float) -> Tensor:
  # qk (B, h + g, T, hd)
  if query.numel() == 0:
    return qk
  hd = [qk.size(3)]
  return torch.cat([torch.rms_norm(qk[:, :h], hd, query, epsilon), torch.rms_norm(qk[:, h:], hd, key, epsilon)], 1)


def norm_output(self, y: Tensor, scale: Tensor, epsilon: float) -> Tensor:
  # y (B, T, d), which is to be added to the stream
  if scale.numel() == 0:
    return y
  return torch.rms_norm(y, [y.size(2)], scale, epsilon)


def capped(self, x: Tensor, cap: float) -> Tensor:
  return x if cap == 0. else cap * torch.tanh(x / cap)


def activate(self, x: Tensor, activation: int) -> Tensor:
  # gate and up side by side (..., 2 f), or (..., f) where nothing is gated; numbered as in Activation
  if activation < 2:
    gate, up = torch.chunk(x, 2, -1)
    return (torch.silu(gate) if activation == 0 else torch.gelu(gate, approximate="tanh")) * up
  if activation == 4:
    return torch.relu(x)
  return torch.gelu(x, approximate="tanh" if activation == 2 else "none")


def feed(self, y: Tensor, shape: __torch__.Shape) -> Tensor:
  # y (B, T, E + 2 f): scores of E experts, gate and up, or (B, T, E + f) -> (B, T, f), 0 of experts that do not run
  E = shape.experts
  a = self.activate(y[:, :, E:], shape.activation)
  if E == 0:
    return a
  score = y[:, :, :E]
  best = torch.topk(score, shape.active, -1)[1]
  runs = torch.scatter(torch.zeros_like(score), -1, best, 1.)
  return torch.reshape(torch.reshape(a, [y.size(0), y.size(1), E, -1]) * torch.unsqueeze(runs, 3), a.size())


def of_queries(self, x: Tensor, h: int) -> Tensor:
  # keys or values (B, g, S, hd) -> those of each query head (B, h, S, hd)
  B = x.size(0)
  g = x.size(1)
  S = x.size(2)
  hd = x.size(3)
  return x if g == h else torch.reshape(torch.expand(torch.unsqueeze(x, 2), [B, g, h // g, S, hd]), [B, h, S, hd])


def attend_seen(self, q: Tensor, k: Tensor, v: Tensor, seen: Tensor, cap: float) -> Tensor:
  # q (B, h, T, hd), k and v (B, h, S, hd), seen (T, S) or (B, h, T, S) -> (B, T, h hd)
  if cap == 0.:
    o = torch.scaled_dot_product_attention(q, k, v, seen)
  else:
    scores = self.capped(torch.matmul(q, torch.transpose(k, 2, 3)) / float(q.size(3)) ** 0.5, cap)
    o = torch.matmul(torch.softmax(torch.masked_fill(scores, torch.logical_not(seen), float("-inf")), -1), v)
  return torch.reshape(torch.transpose(o, 1, 2), [q.size(0), q.size(2), q.size(1) * q.size(3)])


def attend(self, q: Tensor, k: Tensor, v: Tensor, position: int, window: int, cap: float) -> Tensor:
  # q (B, h, T, hd), k and v (B, g, position + T, hd) -> (B, T, h hd); window 0 or less for none, cap 0 for none
  B = q.size(0)
  h = q.size(1)
  T = q.size(2)
  hd = q.size(3)
  g = k.size(1)
  S = k.size(2)
  if T == 1 and window > 0 and S > window:
    k = k[:, :, S - window:]
    v = v[:, :, S - window:]
    S = window
  if T == 1 and cap == 0.:
    # the queries of a group share its keys: (B, g, h / g, hd) x (B, g, S, hd)
    o = torch.scaled_dot_product_attention(torch.reshape(q, [B, g, h // g, hd]), k, v)
    return torch.reshape(o, [B, 1, h * hd])
  k = self.of_queries(k, h)
  v = self.of_queries(v, h)
  windowed = window > 0 and S > window
  if position == 0 and not windowed and cap == 0.:
    o = torch.scaled_dot_product_attention(q, k, v, None, 0., True)
    return torch.reshape(torch.transpose(o, 1, 2), [B, T, h * hd])
  seen = torch.tril(torch.ones([T, S], dtype=11, device=q.device), S - T)
  if windowed:
    seen = torch.triu(seen, S - T - window + 1)
  return self.attend_seen(q, k, v, seen, cap)


def extend_and_attend(self, q: Tensor, k: Tensor, v: Tensor, position: int, cache: List[Tensor], bits: List[int], window: int,
                      pages: List[int], cap: float) -> Tensor:
  # q (B, h, T, hd), k and v (B, g, T, hd) of new tokens -> (B, T, h hd); cache = [k, v, ranges, H], and for fewer bits than
  # 16 the rest of what attend_cached reads; pages = tokens of one and how many
  S = position + q.size(2)
  keys = self.write_keys(k, position, bits[0], cache[0], cache[2])
  values = self.write_values(v, position, bits[1], cache[1])
  plain = cap == 0. and (window == 0 or S <= window)
  if q.size(2) == 1 and plain and (bits[0] < 16 or bits[1] < 16):
    return self.attend_cached(q, cache, bits, S)
  if window < 0:
    return self.attend_pages(q, keys[:, :, :S], values[:, :, :S], position, pages[0], pages[1], cap)
  return self.attend(q, self.read_keys(keys, cache[2], bits[0], S), self.read_values(values, bits[1], S), position, window,
                     cap)


def large(self, x: Tensor, slot: int, counts: List[int], positions: List[int], numbers: List[float]) -> Tensor:
  # x (B, T, K), what a slot reads -> the same with 0 in the place of inputs that are too small
  if len(numbers) == 5 or numbers[6 + slot] == 0.:
    return x
  small = torch.lt(torch.abs(x), numbers[6 + slot])
  if numbers[5] > 0.:
    rows = [torch.arange(positions[i], positions[i] + counts[i], device=x.device) for i in range(len(counts))]
    small = torch.logical_and(small, torch.unsqueeze(torch.ge(torch.cat(rows), numbers[5]), 1))
  return torch.masked_fill(x, small, 0.)


def attention(self, x: Tensor, layer: int, counts: List[int], positions: List[int], w: List[Tensor],
              packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
              norms: List[Tensor], shape: __torch__.Shape, numbers: List[float], cos: Tensor, sin: Tensor, caches: List[List[Tensor]],
              bits: List[int]) -> Tensor:
  # x (B, T, d) -> what the output projection reads (B, T, h hd); slots of a block: qkv, o, gate-up, down;
  # the T tokens are counts[i] of each cache i, side by side
  B = x.size(0)
  T = x.size(1)
  h = shape.h
  g = shape.g
  hd = shape.hd
  pages = [shape.page, shape.pages]
  window = shape.windows[layer]
  table = cos.size(0) - 1 if window > 0 else 0
  y = self.norm(x, norms[6 * layer], numbers[0])
  y = self.large(y, 4 * layer, counts, positions, numbers)
  qkv = self.project(y, 4 * layer, w, packed, parts, slots)  # (B, T, (h + 2 g) hd)
  qkv = torch.transpose(torch.reshape(qkv, [B, T, h + 2 * g, hd]), 1, 2)  # (B, h + 2 g, T, hd)
  qk = self.norm_heads(qkv[:, :h + g], h, norms[6 * layer + 1], norms[6 * layer + 2], numbers[0])
  if shape.heavy > 0:
    q = qk[:, :h] if numbers[1] == 1. else qk[:, :h] * numbers[1]
    return self.attend_heavy(q, qk[:, h:], qkv[:, h + g:], counts, positions, caches, shape, cos[table], sin[table], window,
                             numbers[2])
  limited = shape.window > 0
  if limited:
    qk = torch.cat([qk, qk[:, :h]], 1)  # (B, 2 h + g, T, hd): the last h meet the sinks
    own = self.rotate(qk[:, :h + g], cos[table, :T], sin[table, :T])
    qk = torch.cat([own, self.rotate(qk[:, h + g:], cos[table, T:], sin[table, T:])], 1)
  else:
    qk = self.rotate(qk, cos[table], sin[table])
  if bits[0] == 4:
    qk = torch.matmul(qk, caches[0][3])
  q = qk[:, :h] if numbers[1] == 1. else qk[:, :h] * numbers[1]
  k = qk[:, h:h + g]
  v = qkv[:, h + g:]
  if limited:
    to_sinks = qk[:, h + g:] if numbers[1] == 1. else qk[:, h + g:] * numbers[1]
    return self.attend_rings(q, to_sinks, k, v, counts, positions, caches, bits, shape.sinks, shape.window, window, numbers[2])
  if len(counts) == 1:
    return self.extend_and_attend(q, k, v, positions[0], caches[0], bits, window, pages, numbers[2])
  o = annotate(List[Tensor], [])
  first = 0
  for i in range(len(counts)):
    end = first + counts[i]
    o.append(self.extend_and_attend(q[:, :, first:end], k[:, :, first:end], v[:, :, first:end], positions[i], caches[i], bits,
                                    window, pages, numbers[2]))
    first = end
  return torch.cat(o, 1)


def gated(self, x: Tensor, layer: int, counts: List[int], positions: List[int], w: List[Tensor],
          packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
          norms: List[Tensor], shape: __torch__.Shape, numbers: List[float]) -> Tensor:
  # x (B, T, d) after attention -> what the down projection reads (B, T, f)
  y = self.norm(x, norms[6 * layer + 4], numbers[0])
  y = self.large(y, 4 * layer + 2, counts, positions, numbers)
  return self.feed(self.project(y, 4 * layer + 2, w, packed, parts, slots), shape)


def has(self, slots: List[int], slot: int) -> bool:
  # whether a slot has linears: those of what a block lacks are empty
  return slots[slot + 1] > slots[slot]


def block(self, x: Tensor, layer: int, counts: List[int], positions: List[int], w: List[Tensor],
          packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
          norms: List[Tensor], shape: __torch__.Shape, numbers: List[float], cos: Tensor, sin: Tensor, caches: List[List[Tensor]],
          bits: List[int]) -> Tensor:
  if self.has(slots, 4 * layer):
    o = self.attention(x, layer, counts, positions, w, packed, parts, slots, norms, shape, numbers, cos, sin, caches, bits)
    o = self.large(o, 4 * layer + 1, counts, positions, numbers)
    x = x + self.norm_output(self.project(o, 4 * layer + 1, w, packed, parts, slots), norms[6 * layer + 3], numbers[0])
  if self.has(slots, 4 * layer + 2):
    y = self.gated(x, layer, counts, positions, w, packed, parts, slots, norms, shape, numbers)
    y = self.large(y, 4 * layer + 3, counts, positions, numbers)
    x = x + self.norm_output(self.project(y, 4 * layer + 3, w, packed, parts, slots), norms[6 * layer + 5], numbers[0])
  return x


def angles(self, table: Tensor, counts: List[int], positions: List[int]) -> Tensor:
  # the rows of rotary tables (tables, S, r / 2) that belong to the new tokens: (tables, T, r / 2)
  if len(counts) == 1:
    return table[:, positions[0]:positions[0] + counts[0]]
  rows = annotate(List[Tensor], [])
  for i in range(len(counts)):
    rows.append(table[:, positions[i]:positions[i] + counts[i]])
  return torch.cat(rows, 1)


def last_rows(self, x: Tensor, counts: List[int]) -> Tensor:
  # the last new token of each cache: (1, T, d) -> (1, len(counts), d), or (B, T, d) -> (B, 1, d) where they share one
  if len(counts) == 1:
    return x[:, counts[0] - 1:]
  last = annotate(List[int], [])
  end = 0
  for count in counts:
    end = end + count
    last.append(end - 1)
  return x[:, torch.tensor(last, device=x.device)]


def run_blocks(self, x: Tensor, first: int, end: int, counts: List[int], positions: List[int], w: List[Tensor],
               packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
               norms: List[Tensor], shape: List[int], numbers: List[float], cos: Tensor, sin: Tensor, k: List[List[Tensor]],
               v: List[List[Tensor]], ranges: List[List[Tensor]], turn: Tensor, bits: List[int]) -> Tensor:
  # x (B, T, d) through the blocks from `first` to before `end`
  named = self.named(shape)
  limited = named.window > 0
  c = cos if limited else self.angles(cos, counts, positions)
  s = sin if limited else self.angles(sin, counts, positions)
  shared = annotate(List[List[Tensor]], [])
  for i in range(len(counts)):
    tables = [turn]
    if counts[i] == 1 and not limited and (bits[0] < 16 or bits[1] < 16):
      tables.extend(self.cache_rows(k[i][0], v[i][0], named.h, positions[i] + 1, bits))
    shared.append(tables)
  at = 0
  for layer in range(first):
    if self.has(slots, 4 * layer):
      at = at + 1
  for layer in range(first, end):
    caches = annotate(List[List[Tensor]], [])
    if self.has(slots, 4 * layer):
      for i in range(len(counts)):
        cache = [k[i][at], v[i][at], ranges[i][at]]
        cache.extend(shared[i])
        caches.append(cache)
      at = at + 1
    x = self.block(x, layer, counts, positions, w, packed, parts, slots, norms, named, numbers, c, s, caches, bits)
  return x


def head(self, x: Tensor, counts: List[int], all_positions: bool, blocks: int, w: List[Tensor],
         packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int], slots: List[int],
         norms: List[Tensor], numbers: List[float]) -> Tensor:
  # x (B, T, d) after the last block -> logits of all T, or of the last token of each cache
  if not all_positions:
    x = self.last_rows(x, counts)
  x = self.norm(x, norms[6 * blocks], numbers[0])
  return self.capped(self.project(x, 4 * blocks, w, packed, parts, slots), numbers[3])


def forward_rows(self, ids: Tensor, counts: List[int], positions: List[int], all_positions: bool, embedding: List[Tensor],
                 w: List[Tensor], packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int],
                 slots: List[int], norms: List[Tensor], shape: List[int], numbers: List[float], cos: Tensor, sin: Tensor,
                 k: List[List[Tensor]], v: List[List[Tensor]], ranges: List[List[Tensor]], turn: Tensor,
                 bits: List[int]) -> Tensor:
  # ids (B, T): one cache of B sequences at one position, or (1, T): counts[i] tokens of cache i, which holds positions[i].
  # The linears see all tokens at once; attention goes cache by cache.
  blocks = (len(slots) - 2) // 4
  x = self.embed(embedding, ids, numbers[4], counts, positions)  # (B, T, d)
  x = self.run_blocks(x, 0, blocks, counts, positions, w, packed, parts, slots, norms, shape, numbers, cos, sin, k, v, ranges,
                      turn, bits)
  return self.head(x, counts, all_positions, blocks, w, packed, parts, slots, norms, numbers)


def forward(self, ids: Tensor, position: int, all_positions: bool, embedding: List[Tensor], w: List[Tensor],
            packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int],
            slots: List[int], norms: List[Tensor], shape: List[int], numbers: List[float], cos: Tensor, sin: Tensor,
            k: List[Tensor], v: List[Tensor], ranges: List[Tensor], turn: Tensor, bits: List[int]) -> Tensor:
  # ids (B, T) -> logits (B, T, V), or (B, 1, V) of the last position
  return self.forward_rows(ids, [ids.size(1)], [position], all_positions, embedding, w, packed, parts, slots, norms, shape,
                           numbers, cos, sin, [k], [v], [ranges], turn, bits)


def new_lists(self, x: List[Tensor]) -> List[List[Tensor]]:
  # not from a literal [], as in new_list
  lists = [x]
  lists.clear()
  return lists


def append_list(self, lists: List[List[Tensor]], x: List[Tensor]) -> List[List[Tensor]]:
  lists.append(x)
  return lists


def likeliest(self, logits: Tensor) -> Tensor:
  # (..., V) -> the most likely token of each row and its logit, which is NaN where any of the row is: (rows, 2)
  value, index = torch.max(torch.reshape(logits, [-1, logits.size(-1)]), 1)
  return torch.stack([index.to(7), value.to(7)], 1)
