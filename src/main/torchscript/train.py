# Training a decoder: losses against the next tokens and against a teacher, their gradient, and AdamW.
#
# A model is two lists. w: embedding (V, d), last norm (d), output layer (V, d) or nothing where it is the embedding; then 14
# for each block: its six norms as in decoder.py, and W (N, K) and bias (N) of each slot (qkv, o, gate-up, down), a slot's linears one below
# the other. a: three for each slot: an adapter's A (r, K) and B (N, r), and 1 where W has a weight and 0 where it was pruned
# (N, K). What a model lacks is an empty tensor. numbers: the type of the multiplications, then numbers and heads as in
# decoder.py. Without adapters all of w is trained, else they alone. objective = [beta, temperature, share of the cross-entropy].


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


def train_pruned(self, W: Tensor, share: float) -> Tensor:
  # which weights are there (N, K), where more than `share` of them are not; else nothing
  there = torch.ne(W, 0.)
  if float(torch.mean(there.to(6))) < 1. - share:
    return there.to(6)
  return torch.empty([0])


def train_linear(self, x: Tensor, w: List[Tensor], i: int, a: List[Tensor], j: int, dtype: int) -> Tensor:
  # (B, T, K) -> (B, T, N)
  x = x.to(dtype)
  if a[j].numel() == 0:
    y = torch.linear(x, w[i].to(dtype))
  elif a[j + 2].numel() > 0:
    y = torch.linear(x, (w[i] + torch.matmul(a[j + 1], a[j]) * a[j + 2]).to(dtype))
  else:
    y = torch.linear(x, w[i].to(dtype)) + torch.linear(torch.linear(x, a[j].to(dtype)), a[j + 1].to(dtype))
  if w[i + 1].numel() > 0:
    y = y + w[i + 1].to(dtype)
  return y


def train_stream(self, ids: Tensor, w: List[Tensor], a: List[Tensor], rotary: List[Tensor], numbers: Tensor) -> Tensor:
  # ids (B, T) -> what the output layer reads, (B T, d)
  B = ids.size(0)
  T = ids.size(1)
  heads = self.heads_of(numbers)
  h = heads[0]
  g = heads[1]
  hd = heads[2]
  style = self.numbers_of(numbers)
  epsilon = style[0]
  dtype = int(numbers[0])
  cos = rotary[0][:, :T]
  sin = rotary[1][:, :T]
  x = torch.embedding(w[0], ids)  # (B, T, d)
  if style[4] != 1.:
    x = x * style[4]
  d = x.size(2)
  for l in range((len(w) - 3) // 14):
    i = 3 + 14 * l
    j = 12 * l
    y = torch.rms_norm(x, [d], w[i], epsilon)
    qkv = torch.transpose(torch.reshape(self.train_linear(y, w, i + 6, a, j, dtype), [B, T, h + 2 * g, hd]), 1, 2)
    table = cos.size(0) - 1 if heads[4 + l] > 0 else 0
    qk = self.norm_heads(qkv[:, :h + g].to(w[i].dtype), h, w[i + 1], w[i + 2], epsilon)
    qk = self.rotate(qk, cos[table], sin[table]).to(dtype)
    q = qk[:, :h] if style[1] == 1. else qk[:, :h] * style[1]
    o = self.attend(q, qk[:, h:], qkv[:, h + g:], 0, heads[4 + l], style[2])  # (B, T, h hd)
    x = x + self.norm_output(self.train_linear(o, w, i + 8, a, j + 3, dtype).to(w[i].dtype), w[i + 3], epsilon)
    y = torch.rms_norm(x, [d], w[i + 4], epsilon)
    gu = self.train_linear(y, w, i + 10, a, j + 6, dtype)
    f = gu.size(2) // 2
    y = self.train_linear(self.gate(gu[:, :, :f], heads[3]) * gu[:, :, f:], w, i + 12, a, j + 9, dtype)
    x = x + self.norm_output(y.to(w[i].dtype), w[i + 5], epsilon)
  return torch.reshape(torch.rms_norm(x, [d], w[1], epsilon), [B * T, d])


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


def train_rows(self, x: Tensor, w: List[Tensor], numbers: Tensor, y: Tensor, teacher: List[Tensor], teacher_numbers: Tensor,
               targets: Tensor, objective: Tensor) -> Tensor:
  # what student and teacher make of their streams x and y (M, d) -> the summed loss of M places
  beta = float(objective[0])
  temperature = float(objective[1])
  share = float(objective[2])
  logits = self.train_logits(x, w, numbers)
  loss = torch.zeros([], dtype=x.dtype)
  if share > 0.:
    loss = loss + share * torch.cross_entropy_loss(logits, targets, None, 2)
  if share < 1.:
    t = torch.log_softmax(self.train_logits(y, teacher, teacher_numbers) / temperature, 1)
    s = torch.log_softmax(logits / temperature, 1)
    loss = loss + (1. - share) * temperature * temperature * self.train_divergence(t, s, beta)
  return loss


def train_teacher(self, ids: Tensor, x: Tensor, teacher: List[Tensor], adapters: List[Tensor], rotary: List[Tensor],
                  numbers: Tensor, objective: Tensor) -> Tensor:
  # the teacher's stream, where the objective asks for it
  if float(objective[2]) < 1.:
    return self.train_stream(ids, teacher, adapters, rotary, numbers)
  return x


def train_slice(self, w: List[Tensor]) -> int:
  # places whose logits are in memory at a time: 64 MB of them
  return max(64, 16777216 // w[0].size(0))


def train_loss(self, ids: Tensor, w: List[Tensor], a: List[Tensor], rotary: List[Tensor], numbers: Tensor,
               teacher: List[Tensor], teacher_adapters: List[Tensor], teacher_rotary: List[Tensor], teacher_numbers: Tensor,
               objective: Tensor) -> float:
  # ids (B, T) -> the mean loss over B (T - 1) places
  tokens = ids[:, :ids.size(1) - 1]
  targets = torch.reshape(ids[:, 1:], [-1])
  x = self.train_stream(tokens, w, a, rotary, numbers)
  y = self.train_teacher(tokens, x, teacher, teacher_adapters, teacher_rotary, teacher_numbers, objective)
  sum = 0.
  slice = self.train_slice(w)
  for first in range(0, x.size(0), slice):
    end = first + slice
    sum = sum + float(self.train_rows(x[first:end], w, numbers, y[first:end], teacher, teacher_numbers, targets[first:end],
                                      objective))
  return sum / float(x.size(0))


def train_leaves(self, w: List[Tensor], a: List[Tensor]) -> List[Tensor]:
  leaves = annotate(List[Tensor], [])
  if a[0].numel() == 0:
    for x in w:
      if x.numel() > 0:
        leaves.append(x)
  else:
    for j in range(len(a)):
      if j % 3 < 2:
        leaves.append(a[j])
  return leaves


def train_keep_pruned(self, w: List[Tensor], a: List[Tensor], gradients: List[Tensor]) -> int:
  # no gradient where a weight was pruned; of the leaves of a model without adapters. -> how many there are
  k = 0
  for i in range(len(w)):
    if w[i].numel() > 0:
      at = (i - 3) % 14
      if i > 2 and at > 5 and at % 2 == 0:
        mask = a[12 * ((i - 3) // 14) + 3 * (at // 2 - 3) + 2]
        if mask.numel() > 0:
          torch.mul_(gradients[k], mask)
      k = k + 1
  return k


def train_gradient(self, ids: Tensor, w: List[Tensor], a: List[Tensor], rotary: List[Tensor], numbers: Tensor,
                   teacher: List[Tensor], teacher_adapters: List[Tensor], teacher_rotary: List[Tensor],
                   teacher_numbers: Tensor, objective: Tensor, weight: Tensor, gradients: List[Tensor]) -> List[Tensor]:
  # adds the gradient of the mean loss of ids (B, T), times `weight`, to `gradients` -> [mean loss]
  before = torch.is_grad_enabled()
  tokens = torch.clone(ids[:, :ids.size(1) - 1])
  targets = torch.reshape(torch.clone(ids[:, 1:]), [-1])
  torch.set_grad_enabled(False)
  y = self.train_teacher(tokens, w[0], teacher, teacher_adapters, teacher_rotary, teacher_numbers, objective)
  torch.set_grad_enabled(True)
  x = self.train_stream(tokens, w, a, rotary, numbers)
  M = x.size(0)
  whole = a[0].numel() == 0
  head = 2 if w[2].numel() > 0 else 0
  by_x = annotate(List[Tensor], [])
  sum = torch.zeros([], dtype=x.dtype)
  slice = self.train_slice(w)
  for first in range(0, M, slice):
    end = first + slice
    rows = torch.requires_grad_(torch.detach(x[first:end]), True)
    loss = self.train_rows(rows, w, numbers, y[first:end], teacher, teacher_numbers, targets[first:end], objective)
    loss = loss / float(M)
    inputs = [rows, w[head]] if whole else [rows]
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
  by_stream = annotate(List[Optional[Tensor]], [torch.cat(by_x, 0)])
  found = torch.grad([x], self.train_leaves(w, a), by_stream, None, False, True)
  torch.set_grad_enabled(False)
  for i in range(len(found)):
    part = found[i]
    if part is not None:
      torch.add_(gradients[i], part * weight)
  if whole:
    k = self.train_keep_pruned(w, a, gradients)
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


def train_merged(self, w: List[Tensor], a: List[Tensor], i: int, j: int, first: int, rows: int) -> Tensor:
  # one linear of a slot with its adapter in it, (rows, K)
  W = w[i][first:first + rows]
  if a[j].numel() > 0:
    change = torch.matmul(a[j + 1][first:first + rows], a[j])
    if a[j + 2].numel() > 0:
      change = change * a[j + 2][first:first + rows]
    W = W + change
  return torch.contiguous(torch.detach(W))


def train_scores(self, ids: Tensor, w: List[Tensor], a: List[Tensor], rotary: List[Tensor], numbers: Tensor) -> Tensor:
  # ids (B, T) -> logits (B T, V)
  return self.train_logits(self.train_stream(ids, w, a, rotary, numbers), w, numbers)


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
