# Scores of logits against targets, in float32. B windows, S scored positions each, V tokens in the vocabulary.


def token_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
  # logits (B, S, V), targets (B, S) -> negative log likelihood per token (B, S), natural log
  picked = torch.squeeze(torch.gather(logits, 2, torch.unsqueeze(targets.to(logits.device), 2)), 2)
  return torch.logsumexp(logits, [2]) - picked


def divergence(self, original: Tensor, compressed: Tensor) -> List[Tensor]:
  # logits (B, S, V) each -> KL(original || compressed) per token (B, S), and whether both have the same top token (B, S).
  # Rows go in slices that stay in the cache; rounding may push a divergence of nothing below zero.
  B = original.size(0)
  S = original.size(1)
  V = original.size(2)
  P = torch.reshape(original, [-1, V])
  Q = torch.reshape(compressed, [-1, V])
  slice = max(1, 262144 // V)
  kl = annotate(List[Tensor], [])
  same = annotate(List[Tensor], [])
  for first in range(0, B * S, slice):
    o = P[first:first + slice]
    c = Q[first:first + slice]
    p = torch.log_softmax(o, -1)
    d = p - torch.log_softmax(c, -1)
    kl.append(torch.clamp_min(torch.sum(torch.exp(p) * d, [1]), 0.))
    same.append(torch.eq(torch.argmax(o, 1), torch.argmax(c, 1)).to(6))
  return [torch.reshape(torch.cat(kl, 0), [B, S]), torch.reshape(torch.cat(same, 0), [B, S])]


def finite_sum(self, x: Tensor) -> int:
  # 1 when every element is a number, else 0: one NaN or infinity spoils the sum
  return int(bool(torch.isfinite(torch.sum(x))))


def greedy(self, logits: Tensor) -> int:
  # logits (1, 1, V) -> the most likely token
  return int(torch.argmax(logits))
