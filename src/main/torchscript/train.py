# Training a decoder: losses against the next tokens and against a teacher, their gradient, and AdamW.
#
# A model is a list w of tensors and a table of where they belong. w: embedding (V, d), last norm (d), output layer (V, d) or
# nothing where it is the embedding, six norms for each block as in decoder.py, then what its linears are made of, each
# tensor once. places (1 + linears, 7) int64: in the first row the place of the output layer's gradient among those of the
# leaves or -1, that of the first projection in w or -1, and the number of blocks; then for each linear, slot by slot (qkv, o,
# gate-up, down of the first block, ...), the slot, and in w, or -1: W (N, K), its kept weights (N, K), right (r, K) and left
# (N, r) of two thin factors, bias (N); and 1 where the factors' product is added to W before the others are left out.
# numbers: the type of the multiplications, then numbers and heads as in decoder.py. objective = [beta, temperature, share of
# the cross-entropy, weight of the streams' distance].


def train_masters(self, xs: List[Tensor], trained: Tensor) -> List[Tensor]:
  # copies that a recording of gradients takes, with gradients of their own where `trained` is 1
  copies = annotate(List[Tensor], [])
  for i in range(len(xs)):
    copy = torch.clone(xs[i])
    if int(trained[i]) == 1:
      copy = torch.requires_grad_(copy, True)
    copies.append(copy)
  return copies


def train_zeros(self, xs: List[Tensor]) -> List[Tensor]:
  zeros = annotate(List[Tensor], [])
  for x in xs:
    zeros.append(torch.zeros_like(torch.detach(x)))
  return zeros


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
  for i in range(first, end):
    if places[i][1] >= 0:
      wholes.append(self.train_whole(w, places[i], dtype))
    if places[i][3] >= 0 and places[i][6] == 0:
      thins.append(self.train_thin(x, w, places[i], dtype))
    if places[i][5] >= 0:
      biases.append(w[places[i][5]].to(dtype))
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
  # the rows of `places`, and behind them one with the first row of each slot and the end
  rows = annotate(List[List[int]], places.tolist())
  firsts = annotate(List[int], [])
  for i in range(1, len(rows)):
    if i == 1 or rows[i][0] != rows[i - 1][0]:
      firsts.append(i)
  firsts.append(len(rows))
  rows.append(firsts)
  return rows


def train_block(self, x: Tensor, l: int, w: List[Tensor], places: List[List[int]], cos: Tensor, sin: Tensor, numbers: Tensor,
                cache: List[Tensor]) -> Tensor:
  # x (B, T, d) through block l; places as train_table makes them; cos and sin of the positions of x; cache: k and v (B, g,
  # S, hd) of each block, which the block lengthens, or nothing
  B = x.size(0)
  T = x.size(1)
  heads = self.heads_of(numbers)
  h = heads[0]
  g = heads[1]
  hd = heads[2]
  style = self.numbers_of(numbers)
  epsilon = style[0]
  dtype = int(numbers[0])
  d = [x.size(2)]
  firsts = places[len(places) - 1]
  s = 4 * l
  i = 3 + 6 * l
  y = torch.rms_norm(x, d, w[i], epsilon)
  qkv = self.train_linears(y, w, places, firsts[s], firsts[s + 1], dtype)
  qkv = torch.transpose(torch.reshape(qkv, [B, T, h + 2 * g, hd]), 1, 2)
  table = cos.size(0) - 1 if heads[6 + l] > 0 else 0
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
  o = self.attend(q, k, v, position, heads[6 + l], style[2])  # (B, T, h hd)
  y = self.train_linears(o, w, places, firsts[s + 1], firsts[s + 2], dtype).to(x.dtype)
  x = x + self.norm_output(y, w[i + 3], epsilon)
  y = torch.rms_norm(x, d, w[i + 4], epsilon)
  gu = self.train_linears(y, w, places, firsts[s + 2], firsts[s + 3], dtype)
  f = gu.size(2) // 2
  y = self.gate(gu[:, :, :f], heads[3]) * gu[:, :, f:]
  y = self.train_linears(y, w, places, firsts[s + 3], firsts[s + 4], dtype).to(x.dtype)
  return x + self.norm_output(y, w[i + 5], epsilon)


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
  first = cache[0].size(2) if len(cache) > 0 else 0
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


def train_divergence(self, t: Tensor, s: Tensor, beta: float) -> Tensor:
  # log-probabilities of teacher and student (M, V) -> KL(t || s) for beta 0, KL(s || t) for 1, and between them the
  # generalised Jensen-Shannon divergence beta KL(t || m) + (1 - beta) KL(s || m), m = beta t + (1 - beta) s; summed
  if beta == 0.:
    return torch.sum(torch.exp(t) * (t - s))
  if beta == 1.:
    return torch.sum(torch.exp(s) * (s - t))
  m = torch.logaddexp(t + torch.log(beta), s + torch.log(1. - beta))
  return beta * torch.sum(torch.exp(t) * (t - m)) + (1. - beta) * torch.sum(torch.exp(s) * (s - m))


def train_top(self, logits: Tensor, temperature: float, k: int) -> List[Tensor]:
  # logits (M, V) -> the k largest log-probabilities at that temperature (M, k), and their tokens
  value, index = torch.topk(torch.log_softmax(logits / temperature, 1), k, 1)
  return [value, index]


def train_rest(self, top: Tensor) -> Tensor:
  # log-probabilities of some tokens (M, k) -> the same, and that of all others together, (M, k + 1)
  rest = torch.log1p(-torch.clamp_max(torch.sum(torch.exp(top), [1], True), 1. - 1e-6))
  return torch.cat([top, rest], 1)


def train_rows(self, x: Tensor, w: List[Tensor], numbers: Tensor, y: Tensor, teacher: List[Tensor], teacher_numbers: Tensor,
               top: List[Tensor], targets: Tensor, objective: Tensor) -> Tensor:
  # what student and teacher make of their streams x and y (M, d) -> the summed loss of M places; `top` is what train_top
  # made of the teacher's earlier, or empty
  beta = float(objective[0])
  temperature = float(objective[1])
  share = float(objective[2])
  logits = self.train_logits(x, w, numbers)
  loss = torch.zeros([], dtype=x.dtype)
  if share > 0.:
    loss = loss + share * torch.cross_entropy_loss(logits, targets, None, 2)
  if share < 1.:
    s = torch.log_softmax(logits / temperature, 1)
    if top[0].numel() > 0:
      t = self.train_rest(top[0].to(x.dtype))
      s = self.train_rest(torch.gather(s, 1, top[1].to(4)))
    else:
      t = torch.log_softmax(self.train_logits(y, teacher, teacher_numbers) / temperature, 1)
    loss = loss + (1. - share) * temperature * temperature * self.train_divergence(t, s, beta)
  return loss


def train_distance(self, streams: List[Tensor], w: List[Tensor], places: Tensor, teacher: List[Tensor]) -> Tensor:
  # the mean square of what the student's stream behind each block, projected where the widths differ, is away from the
  # teacher's behind the block as deep, by the mean square of that; the mean over the student's blocks
  n = len(streams) - 1
  first = int(places[0, 1])
  sum = torch.zeros([], dtype=streams[0].dtype)
  for l in range(n):
    y = teacher[max(1, (l + 1) * (len(teacher) - 1) // n) - 1]
    x = streams[l] if first < 0 else torch.linear(streams[l], w[first + l])
    sum = sum + torch.mean(torch.square(x - y)) / torch.mean(torch.square(y))
  return sum / float(n)


def train_asked(self, ids: Tensor, w: List[Tensor], teacher: List[Tensor], places: Tensor, rotary: List[Tensor],
                numbers: Tensor, top: List[Tensor], objective: Tensor) -> List[Tensor]:
  # the teacher's streams, where the objective asks for them
  hidden = float(objective[3]) > 0.
  if hidden or float(objective[2]) < 1. and top[0].numel() == 0:
    return self.train_streams(ids, teacher, places, rotary, numbers, annotate(List[Tensor], []), hidden)
  return [w[0]]


def train_part(self, xs: List[Tensor], first: int, end: int) -> List[Tensor]:
  part = annotate(List[Tensor], [])
  for x in xs:
    part.append(x[first:end])
  return part


def train_slice(self, w: List[Tensor]) -> int:
  # places whose logits are in memory at a time: 64 MB of them
  return max(64, 16777216 // w[0].size(0))


def train_loss(self, ids: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor,
               teacher: List[Tensor], teacher_places: Tensor, teacher_rotary: List[Tensor], teacher_numbers: Tensor,
               top: List[Tensor], objective: Tensor) -> float:
  # ids (B, T) -> the mean loss over B (T - 1) places; top: (B (T - 1), k) of train_top, or empty
  tokens = ids[:, :ids.size(1) - 1]
  targets = torch.reshape(ids[:, 1:], [-1])
  hidden = float(objective[3])
  streams = self.train_streams(tokens, w, places, rotary, numbers, annotate(List[Tensor], []), hidden > 0.)
  asked = self.train_asked(tokens, w, teacher, teacher_places, teacher_rotary, teacher_numbers, top, objective)
  x = streams[len(streams) - 1]
  y = asked[len(asked) - 1]
  sum = 0.
  slice = self.train_slice(w)
  for first in range(0, x.size(0), slice):
    end = first + slice
    sum = sum + float(self.train_rows(x[first:end], w, numbers, y[first:end], teacher, teacher_numbers,
                                      self.train_part(top, first, end), targets[first:end], objective))
  loss = sum / float(x.size(0))
  if hidden > 0.:
    loss = loss + hidden * float(self.train_distance(streams, w, places, asked))
  return loss


def train_gradient(self, ids: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor,
                   teacher: List[Tensor], teacher_places: Tensor, teacher_rotary: List[Tensor], teacher_numbers: Tensor,
                   top: List[Tensor], objective: Tensor, weight: Tensor, leaves: List[Tensor],
                   gradients: List[Tensor]) -> List[Tensor]:
  # adds the gradient of the mean loss of ids (B, T), times `weight`, to `gradients` -> [mean loss]
  before = torch.is_grad_enabled()
  tokens = torch.clone(ids[:, :ids.size(1) - 1])
  targets = torch.reshape(torch.clone(ids[:, 1:]), [-1])
  hidden = float(objective[3])
  torch.set_grad_enabled(False)
  asked = self.train_asked(tokens, w, teacher, teacher_places, teacher_rotary, teacher_numbers, top, objective)
  y = asked[len(asked) - 1]
  torch.set_grad_enabled(True)
  streams = self.train_streams(tokens, w, places, rotary, numbers, annotate(List[Tensor], []), hidden > 0.)
  x = streams[len(streams) - 1]
  M = x.size(0)
  head = int(places[0, 0])
  by_x = annotate(List[Tensor], [])
  sum = torch.zeros([], dtype=x.dtype)
  slice = self.train_slice(w)
  for first in range(0, M, slice):
    end = first + slice
    rows = torch.requires_grad_(torch.detach(x[first:end]), True)
    loss = self.train_rows(rows, w, numbers, y[first:end], teacher, teacher_numbers, self.train_part(top, first, end),
                           targets[first:end], objective)
    loss = loss / float(M)
    inputs = [rows, leaves[head]] if head >= 0 else [rows]
    parts = torch.grad([loss], inputs, None, None, False, False)
    torch.set_grad_enabled(False)
    sum = sum + loss
    for i in range(len(parts)):
      part = parts[i]
      if part is not None:
        if i == 0:
          by_x.append(part)
        else:
          torch.add_(gradients[head], part * weight)
    torch.set_grad_enabled(True)
  outputs = [x]
  by = annotate(List[Optional[Tensor]], [torch.cat(by_x, 0)])
  if hidden > 0.:
    distance = self.train_distance(streams, w, places, asked)
    outputs.append(distance)
    by.append(torch.full_like(distance, hidden))
    sum = sum + hidden * torch.detach(distance)
  found = torch.grad(outputs, leaves, by, None, False, True)
  torch.set_grad_enabled(False)
  for i in range(len(found)):
    part = found[i]
    if part is not None:
      torch.add_(gradients[i], part * weight)
  torch.set_grad_enabled(before)
  return [torch.detach(sum)]


def train_update(self, leaves: List[Tensor], gradients: List[Tensor], m: List[Tensor], v: List[Tensor], steps: List[Tensor],
                 rate: float, longest: float) -> float:
  # AdamW without decay, after the gradient is cut to the length `longest`; gradients become 0 -> its length before
  square = torch.zeros([])
  for g in gradients:
    square = square + torch.sum(torch.square(g)).to(6)
  length = float(torch.sqrt(square))
  if length > longest:
    torch._foreach_mul_(gradients, longest / length)
  torch._foreach_add_(steps, 1)
  torch._fused_adamw_(leaves, gradients, m, v, annotate(List[Tensor], []), steps, lr=rate, beta1=0.9, beta2=0.95,
                      weight_decay=0., eps=1e-8, amsgrad=False, maximize=False)
  torch._foreach_zero_(gradients)
  return length


def train_copy(self, to: List[Tensor], source: List[Tensor]) -> int:
  for i in range(len(to)):
    x = torch.copy_(to[i], source[i])
  return len(to)


def train_merged(self, W: Tensor, kept: Optional[Tensor], right: Tensor, left: Tensor, scale: float) -> Tensor:
  # W (N, K) with the product of two thin factors, times `scale`, in it
  y = W + torch.matmul(torch.detach(left), torch.detach(right)) * scale
  return y if kept is None else y * kept


def train_scores(self, ids: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor) -> Tensor:
  # ids (B, T) -> logits (B T, V)
  streams = self.train_streams(ids, w, places, rotary, numbers, annotate(List[Tensor], []), False)
  return self.train_logits(streams[0], w, numbers)


def train_stored(self, x: Tensor, dtype: int) -> Tensor:
  # a copy in another type, free of the recording
  return torch.clone(torch.detach(x)).to(dtype)


def train_fill(self, x: Tensor, bytes: Tensor, offset: int) -> int:
  # x becomes what lies at `offset` of `bytes`
  source = self.reinterpret(bytes, offset, x.dtype, x.size())
  filled = torch.copy_(x, source)
  return filled.numel()


def train_clear(self, xs: List[Tensor]) -> int:
  torch._foreach_zero_(xs)
  return len(xs)


def train_teacher_top(self, ids: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor,
                      temperature: float, k: int) -> List[Tensor]:
  # ids (B, T) -> train_top of B (T - 1) places, as float32 and int32
  tokens = ids[:, :ids.size(1) - 1]
  x = self.train_streams(tokens, w, places, rotary, numbers, annotate(List[Tensor], []), False)[0]
  values = annotate(List[Tensor], [])
  tops = annotate(List[Tensor], [])
  slice = self.train_slice(w)
  for first in range(0, x.size(0), slice):
    value, index = self.train_top(self.train_logits(x[first:first + slice], w, numbers), temperature, k)
    values.append(value.to(6))
    tops.append(index.to(3))
  return [torch.cat(values, 0), torch.cat(tops, 0)]


def train_sample(self, ids: Tensor, draws: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor], numbers: Tensor,
                 temperature: float) -> Tensor:
  # beginnings ids (B, P) -> the same with n tokens of the model's behind them (B, P + n), chosen by draws (B, n) from 0 to 1
  heads = self.heads_of(numbers)
  cache = annotate(List[Tensor], [])
  for i in range(2 * (len(heads) - 6)):
    cache.append(torch.empty([ids.size(0), heads[1], 0, heads[2]], dtype=int(numbers[0])))
  new = ids
  for i in range(draws.size(1)):
    x = self.train_streams(new, w, places, rotary, numbers, cache, False)[0]
    x = torch.reshape(x, [ids.size(0), new.size(1), -1])[:, -1]
    p = torch.cumsum(torch.softmax(self.train_logits(x, w, numbers) / temperature, 1), 1)  # (B, V)
    below = torch.sum(torch.le(p, draws[:, i:i + 1] * p[:, -1:]), [1], True)
    new = torch.clamp_max(below, p.size(1) - 1)  # (B, 1)
    ids = torch.cat([ids, new], 1)
  return ids


def train_local(self, x: Tensor, y: Tensor, block: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor],
                numbers: Tensor) -> Tensor:
  # the mean square of what a block makes of x (B, T, d) is away from y, by the mean square of y
  T = x.size(1)
  z = self.train_block(x, int(block), w, self.train_table(places), rotary[0][:, :T], rotary[1][:, :T], numbers,
                       annotate(List[Tensor], []))
  return torch.mean(torch.square(z - y)) / torch.mean(torch.square(y))


def train_local_gradient(self, x: Tensor, y: Tensor, block: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor],
                         numbers: Tensor, leaves: List[Tensor], gradients: List[Tensor]) -> List[Tensor]:
  # adds the gradient of train_local -> [its value]
  before = torch.is_grad_enabled()
  torch.set_grad_enabled(True)
  loss = self.train_local(torch.clone(x), torch.clone(y), block, w, places, rotary, numbers)
  found = torch.grad([loss], leaves, None, None, False, True)
  torch.set_grad_enabled(False)
  for i in range(len(found)):
    part = found[i]
    if part is not None:
      torch.add_(gradients[i], part)
  torch.set_grad_enabled(before)
  return [torch.detach(loss)]


def train_local_loss(self, x: Tensor, y: Tensor, block: Tensor, w: List[Tensor], places: Tensor, rotary: List[Tensor],
                     numbers: Tensor) -> float:
  return float(self.train_local(x, y, block, w, places, rotary, numbers))


def train_embed(self, ids: Tensor, w: List[Tensor], numbers: Tensor) -> Tensor:
  return self.train_embedded(ids, w, numbers)


def train_through(self, x: Tensor, block: int, w: List[Tensor], places: Tensor, rotary: List[Tensor],
                  numbers: Tensor) -> Tensor:
  # x (B, T, d) through a block
  T = x.size(1)
  return torch.detach(self.train_block(x, block, w, self.train_table(places), rotary[0][:, :T], rotary[1][:, :T], numbers,
                                       annotate(List[Tensor], [])))
