# The loop of a training: copies that learn, AdamW on their gradients, and the state that a crash leaves behind.


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


def train_clear(self, xs: List[Tensor]) -> int:
  torch._foreach_zero_(xs)
  return len(xs)


def train_copy(self, to: List[Tensor], source: List[Tensor]) -> int:
  for i in range(len(to)):
    x = torch.copy_(to[i], source[i])
  return len(to)


def train_fill(self, x: Tensor, bytes: Tensor, offset: int) -> int:
  # x becomes what lies at `offset` of `bytes`
  source = self.reinterpret(bytes, offset, x.dtype, x.size())
  filled = torch.copy_(x, source)
  return filled.numel()


def train_stored(self, x: Tensor, dtype: int) -> Tensor:
  # a copy in another type, free of the recording
  return torch.clone(torch.detach(x)).to(dtype)
