# Scores of logits against targets. All in float32.


def token_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
  # logits (B, T, V), targets (B, T) -> negative log likelihood per token (B, T), natural log
  picked = torch.squeeze(torch.gather(logits, 2, torch.unsqueeze(targets, 2)), 2)
  return torch.logsumexp(logits, [2]) - picked


def divergence(self, original: Tensor, compressed: Tensor) -> List[Tensor]:
  # logits (B, T, V) each -> KL(original || compressed) per token (B, T), and whether both have the same top token (B, T)
  p = torch.log_softmax(original, -1)
  q = torch.log_softmax(compressed, -1)
  kl = torch.sum(torch.exp(p) * (p - q), [2])
  same = torch.eq(torch.argmax(original, 2), torch.argmax(compressed, 2))
  return [kl, same.to(6)]


def positions(self, x: Tensor, first: int, last: int) -> Tensor:
  # x (B, T, ...) -> (B, last - first, ...)
  return x[:, first:last]
