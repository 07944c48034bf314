# A decoder while gradients are recorded, and its teacher.
#
# A model is a list w of tensors and a table of where they belong. w: embedding (V, d), last norm (d), output layer (V, d) or
# nothing where it is the embedding, six norms for each block as in decoder.py, then what its linears are made of, each
# tensor once. places (1 + linears, 7) int64: in the first row the place of the output layer's gradient among those of the
# leaves or -1, that of the first projection in w or -1, and the number of blocks; then for each linear, slot by slot (qkv, o,
# gate-up, down of the first block, ...), the slot, and in w, or -1: W (N, K), its kept weights (N, K), right (r, K) and left
# (N, r) of two thin factors, bias (N); and 1 where the factors' product is added to W before the others are left out.
# numbers: the type of the multiplications, then numbers and heads as in decoder.py.


def train_kept(self, W: Tensor, share: float) -> Tensor:
  # 1 where a weight is there (N, K), where more than `share` of them are not; else nothing
  there = torch.ne(W, 0.)
  if float(torch.mean(there.to(6))) < 1. - share:
    return there.to(6)
  return torch.empty([0])


def train_whole(self, w: List[Tensor], place: List[int], dtype: int) -> Tensor:
  # W (N, K) of a linear
  W = w[place[1]]
  if place[6] == 1:
    W = W + torch.matmul(w[place[4]], w[place[3]])
  if place[2] >= 0:
    W = W * w[place[2]]
  return W.to(dtype)


def train_thin(self, x: Tensor, w: List[Tensor], place: List[int], dtype: int) -> Tensor:
  # (B, T, K) -> (B, T, N)
  return torch.linear(torch.linear(x, w[place[3]].to(dtype)), w[place[4]].to(dtype))


def train_linears(self, x: Tensor, w: List[Tensor], places: List[List[int]], first: int, end: int, dtype: int) -> Tensor:
  # (B, T, K) -> what the linears of a slot make of it, side by side, (B, T, N)
  x = x.to(dtype)
  wholes = annotate(List[Tensor], [])
  thins = annotate(List[Tensor], [])
  biases = annotate(List[Tensor], [])
  biased = False
  for i in range(first, end):
    biased = biased or places[i][5] >= 0
  for i in range(first, end):
    if places[i][1] >= 0:
      wholes.append(self.train_whole(w, places[i], dtype))
    if places[i][3] >= 0 and places[i][6] == 0:
      thins.append(self.train_thin(x, w, places[i], dtype))
    if places[i][5] >= 0:
      biases.append(w[places[i][5]].to(dtype))
    elif biased:
      biases.append(torch.zeros([w[places[i][1] if places[i][1] >= 0 else places[i][4]].size(0)], dtype=dtype))
  n = end - first
  if len(wholes) == n and len(thins) == 0:
    y = torch.linear(x, wholes[0] if n == 1 else torch.cat(wholes, 0))
  elif len(wholes) == n and len(thins) == n:
    y = torch.linear(x, torch.cat(wholes, 0)) + torch.cat(thins, 2)
  else:
    ys = annotate(List[Tensor], [])
    a = 0
    b = 0
    for i in range(first, end):
      z = annotate(List[Tensor], [])
      if places[i][1] >= 0:
        z.append(torch.linear(x, wholes[a]))
        a = a + 1
      if places[i][3] >= 0 and places[i][6] == 0:
        z.append(thins[b])
        b = b + 1
      ys.append(z[0] if len(z) == 1 else z[0] + z[1])
    y = torch.cat(ys, 2)
  if len(biases) > 0:
    y = y + torch.cat(biases, 0)
  return y


def train_table(self, places: Tensor) -> List[List[int]]:
  # the rows of `places`, and behind them one with the first row of each slot, of those of what a block lacks that of the next,
  # and the end
  rows = annotate(List[List[int]], places.tolist())
  firsts = annotate(List[int], [])
  i = 1
  for slot in range(4 * rows[0][2] + 1):
    while i < len(rows) and rows[i][0] < slot:
      i = i + 1
    firsts.append(i)
  rows.append(firsts)
  return rows


def train_block(self, x: Tensor, l: int, w: List[Tensor], places: List[List[int]], cos: Tensor, sin: Tensor, numbers: Tensor,
                cache: List[Tensor]) -> Tensor:
  # x (B, T, d) through block l; places as train_table makes them; cos and sin of the positions of x; cache: k and v (B, g,
  # S, hd) of each block, which the block lengthens, or nothing
  B = x.size(0)
  T = x.size(1)
  shape = self.named(self.shape_of(numbers))
  h = shape.h
  g = shape.g
  hd = shape.hd
  style = self.numbers_of(numbers)
  epsilon = style[0]
  dtype = int(numbers[0])
  d = [x.size(2)]
  firsts = places[len(places) - 1]
  s = 4 * l
  i = 3 + 6 * l
  if firsts[s] < firsts[s + 1]:
    y = torch.rms_norm(x, d, w[i], epsilon)
    qkv = self.train_linears(y, w, places, firsts[s], firsts[s + 1], dtype)
    qkv = torch.transpose(torch.reshape(qkv, [B, T, h + 2 * g, hd]), 1, 2)
    table = cos.size(0) - 1 if shape.windows[l] > 0 else 0
    qk = self.norm_heads(qkv[:, :h + g].to(x.dtype), h, w[i + 1], w[i + 2], epsilon)
    qk = self.rotate(qk, cos[table], sin[table]).to(dtype)
    q = qk[:, :h] if style[1] == 1. else qk[:, :h] * style[1]
    k = qk[:, h:]
    v = qkv[:, h + g:]
    position = 0
    if len(cache) > 0:
      position = cache[2 * l].size(2)
      k = torch.cat([cache[2 * l], k], 2)
      v = torch.cat([cache[2 * l + 1], v], 2)
      cache[2 * l] = k
      cache[2 * l + 1] = v
    o = self.attend(q, k, v, position, shape.windows[l], style[2])  # (B, T, h hd)
    y = self.train_linears(o, w, places, firsts[s + 1], firsts[s + 2], dtype).to(x.dtype)
    x = x + self.norm_output(y, w[i + 3], epsilon)
  if firsts[s + 2] < firsts[s + 3]:
    y = torch.rms_norm(x, d, w[i + 4], epsilon)
    gu = self.train_linears(y, w, places, firsts[s + 2], firsts[s + 3], dtype)
    y = self.feed(gu, shape)
    y = self.train_linears(y, w, places, firsts[s + 3], firsts[s + 4], dtype).to(x.dtype)
    x = x + self.norm_output(y, w[i + 5], epsilon)
  return x


def train_embedded(self, ids: Tensor, w: List[Tensor], numbers: Tensor) -> Tensor:
  # (B, T) -> (B, T, d)
  x = torch.embedding(w[0], ids)
  scale = self.numbers_of(numbers)[4]
  return x if scale == 1. else x * scale


def train_streams(self, ids: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor,
                  cache: List[Tensor], all: bool) -> List[Tensor]:
  # ids (B, T), behind those of the cache -> where `all` is set what each block leaves, (B, T, d); then what the output layer
  # reads, (B T, d)
  rows = self.train_table(places)
  first = 0
  for kept in cache:  # a block without attention keeps nothing
    first = max(first, kept.size(2))
  end = first + ids.size(1)
  cos = rotary[0][:, first:end]
  sin = rotary[1][:, first:end]
  x = self.train_embedded(ids, w, numbers)
  streams = annotate(List[Tensor], [])
  for l in range(rows[0][2]):
    x = self.train_block(x, l, w, rows, cos, sin, numbers, cache)
    if all:
      streams.append(x)
  d = x.size(2)
  streams.append(torch.reshape(torch.rms_norm(x, [d], w[1], self.numbers_of(numbers)[0]), [-1, d]))
  return streams


def train_logits(self, x: Tensor, w: List[Tensor], numbers: Tensor) -> Tensor:
  head = w[2] if w[2].numel() > 0 else w[0]
  dtype = int(numbers[0])
  return self.capped(torch.linear(x.to(dtype), head.to(dtype)).to(x.dtype), self.numbers_of(numbers)[3])  # (M, V)


def train_merged(self, W: Tensor, kept: Optional[Tensor], right: Tensor, left: Tensor, scale: float) -> Tensor:
  # W (N, K) with the product of two thin factors, times `scale`, in it
  y = W + torch.matmul(torch.detach(left), torch.detach(right)) * scale
  return y if kept is None else y * kept


def train_scores(self, ids: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor) -> Tensor:
  # ids (B, T) -> logits (B T, V)
  streams = self.train_streams(ids, w, places, rotary, numbers, annotate(List[Tensor], []), False)
  return self.train_logits(streams[0], w, numbers)


def train_sample(self, ids: Tensor, draws: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor,
                 temperature: float) -> Tensor:
  # beginnings ids (B, P) -> the same with n tokens of the model's behind them (B, P + n), chosen by draws (B, n) from 0 to 1
  shape = self.named(self.shape_of(numbers))
  cache = annotate(List[Tensor], [])
  for i in range(2 * len(shape.windows)):
    cache.append(torch.empty([ids.size(0), shape.g, 0, shape.hd], dtype=int(numbers[0])))
  new = ids
  for i in range(draws.size(1)):
    x = self.train_streams(new, w, places, rotary, numbers, cache, False)[0]
    x = torch.reshape(x, [ids.size(0), new.size(1), -1])[:, -1]
    p = torch.cumsum(torch.softmax(self.train_logits(x, w, numbers) / temperature, 1), 1)  # (B, V)
    below = torch.sum(torch.le(p, draws[:, i:i + 1] * p[:, -1:]), [1], True)
    new = torch.clamp_max(below, p.size(1) - 1)  # (B, 1)
    ids = torch.cat([ids, new], 1)
  return ids


def train_embed(self, ids: Tensor, w: List[Tensor], numbers: Tensor) -> Tensor:
  return self.train_embedded(ids, w, numbers)


def train_through(self, x: Tensor, block: int, w: List[Tensor], places: Tensor, rotary: List[Tensor],
                  numbers: Tensor) -> Tensor:
  # x (B, T, d) through a block
  T = x.size(1)
  return torch.detach(self.train_block(x, block, w, self.train_table(places), rotary[0][:, :T], rotary[1][:, :T], numbers,
                                       annotate(List[Tensor], [])))
