# Scores of logits against targets, in float32. B windows, S scored positions each, V tokens in the vocabulary.


def token_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
  # logits (B, S, V), targets (B, S) -> negative log likelihood per token (B, S), natural log
  picked = torch.squeeze(torch.gather(logits, 2, torch.unsqueeze(targets, 2)), 2)
  return torch.logsumexp(logits, [2]) - picked


def divergence(self, original: Tensor, compressed: Tensor) -> List[Tensor]:
  # logits (B, S, V) each -> KL(original || compressed) per token (B, S), and whether both have the same top token (B, S)
  p = torch.log_softmax(original, -1)
  q = torch.log_softmax(compressed, -1)
  kl = torch.sum(torch.exp(p) * (p - q), [2])
  same = torch.eq(torch.argmax(original, 2), torch.argmax(compressed, 2))
  return [kl, same.to(6)]


def positions(self, x: Tensor, first: int, last: int) -> Tensor:
  # x (B, T, ...) -> (B, last - first, ...)
  return x[:, first:last]


def finite_sum(self, x: Tensor) -> int:
  # 1 when every element is a number: one NaN or infinity spoils the sum
  return int(bool(torch.isfinite(torch.sum(x))))


def greedy(self, logits: Tensor) -> int:
  # logits (1, 1, V) -> the most likely token
  return int(torch.argmax(logits))
