# What training makes small: the distance to the next tokens, to a teacher's predictions and streams, and to what a block of
# the original makes; and the gradients of that.
#
# Models as in student.py. objective = [beta, temperature, share of the cross-entropy, weight of the streams' distance].


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
