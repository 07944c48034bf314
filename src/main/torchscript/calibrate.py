# The calibration windows on their way through one block, slot by slot, and what is gathered at the inputs of its linears.
# x (B, T, d): B windows of T tokens. The block is layer 0 of its own lists; slots that are not needed yet may be missing.


def empty_states(self, samples: int, context: int, width: int) -> Tensor:
  return torch.empty([samples, context, width])


def mapped_states(self, path: str, samples: int, context: int, width: int) -> Tensor:
  # a shared mapping: the system writes pages out where memory is short
  return torch.reshape(torch.from_file(path, True, samples * context * width, dtype=6), [samples, context, width])


def zeros(self, n: int, k: int) -> Tensor:
  return torch.zeros([n, k])


def overwrite(self, x: Tensor, y: Tensor) -> Tensor:
  return torch.copy_(x, y)


def identity(self, k: int) -> Tensor:
  return torch.eye(k)


def add_outer(self, sum: Tensor, x: Tensor, factor: float) -> Tensor:
  # sum (K, K) += factor xᵀ x on and above the diagonal blocks, with x (..., K); what lies below is left to mirror
  rows = torch.reshape(x, [-1, x.size(-1)])
  K = rows.size(1)
  block = max(256, K // 8)
  for first in range(0, K, block):
    last = min(first + block, K)
    torch.addmm_(sum[first:last, first:], torch.t(rows[:, first:last]), rows[:, first:], beta=1, alpha=factor)
  return sum


def mirror(self, sum: Tensor) -> Tensor:
  # what lies above the diagonal, below it too
  K = sum.size(0)
  block = max(256, K // 8)
  for first in range(0, K, block):
    last = min(first + block, K)
    torch.copy_(sum[last:, first:last], torch.t(sum[first:last, last:]))
  return sum


def block_attention(self, x: Tensor, w: List[Tensor],
                    packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int],
                    slots: List[int], norms: List[Tensor], shape: List[int], numbers: List[float], cos: Tensor,
                    sin: Tensor) -> Tensor:
  T = x.size(1)
  named = self.named(shape)
  k = torch.zeros([x.size(0), named.g, T, named.hd])
  cache = [k, torch.zeros_like(k), torch.zeros([k.size(0), k.size(1), 2, T], dtype=7) if named.heavy > 0 else k]
  rows = 2 * T if named.window > 0 and named.heavy == 0 else T
  return self.attention(x, 0, [T], [0], w, packed, parts, slots, norms, named, numbers, cos[:, :rows], sin[:, :rows], [cache],
                        [16, 16])


def block_gated(self, x: Tensor, w: List[Tensor],
                packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int],
                slots: List[int], norms: List[Tensor], shape: List[int], numbers: List[float]) -> Tensor:
  return self.gated(x, 0, [x.size(1)], [0], w, packed, parts, slots, norms, self.named(shape), numbers)


def add_projection(self, x: Tensor, y: Tensor, slot: int, w: List[Tensor],
                   packed: List[__torch__.torch.classes.quantized.LinearPackedParamsBase], parts: List[int],
                   slots: List[int], norms: List[Tensor], numbers: List[float]) -> Tensor:
  # slot 1 or 3
  y = self.large(y, slot, [y.size(1)], [0], numbers)
  return x + self.norm_output(self.project(y, slot, w, packed, parts, slots), norms[2 + slot], numbers[0])


def head_logits(self, x: Tensor, norm: Tensor, epsilon: float, W: Tensor, cap: float) -> Tensor:
  # the stream x (B, T, d) behind the last block -> logits (B, T, V)
  return self.capped(torch.linear(self.norm(x, norm, epsilon), W), cap)


def mean_divergence(self, original: Tensor, changed: Tensor) -> float:
  return float(torch.mean(self.divergence(original, changed)[0]))


def spread_rows(self, W: Tensor, count: int) -> Tensor:
  # up to `count` rows at even distances
  step = max(1, W.size(0) // count)
  return W[::step][:count]


def mean_loss(self, logits: Tensor, ids: Tensor) -> float:
  # logits (B, T, V), ids (B, T): each token but the first of a window is predicted by what comes before
  scores = torch.log_softmax(logits[:, :-1], -1)
  return -float(torch.mean(torch.gather(scores, 2, torch.unsqueeze(ids[:, 1:], 2))))


def mean_cosine(self, x: Tensor, y: Tensor) -> float:
  return float(torch.mean(torch.cosine_similarity(x, y, 2)))


def channel_sums(self, x: Tensor) -> List[Tensor]:
  # x (..., K) -> sums and sums of squares over all rows, (K) each
  rows = torch.reshape(x, [-1, x.size(-1)])
  return [torch.sum(rows, [0]), torch.sum(torch.square(rows), [0])]


def answer_scores(self, logits: Tensor, ids: Tensor, counts: Tensor) -> Tensor:
  # logits (B, T, V), ids and counts (B, T) -> summed loss of the tokens that count, and rows in which all of them are likeliest
  guess = logits[:, :-1]
  target = ids[:, 1:]
  some = counts[:, 1:]
  picked = torch.squeeze(torch.gather(torch.log_softmax(guess, -1), 2, torch.unsqueeze(target, 2)), 2)
  missed = torch.sum(torch.ne(torch.argmax(guess, 2), target).to(6) * some, [1])
  return torch.stack([-torch.sum(picked * some), torch.sum(torch.eq(missed, 0.).to(6))])
