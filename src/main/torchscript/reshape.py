# Cutting linears W (N, K) to fewer outputs or inputs. `kept` holds the ascending numbers of those that stay.


def row_energy(self, W: Tensor) -> Tensor:
  return torch.sum(torch.square(W.to(6)), [1])


def column_energy(self, W: Tensor) -> Tensor:
  return torch.sum(torch.square(W.to(6)), [0])


def select(self, x: Tensor, dim: int, kept: Tensor) -> Tensor:
  return torch.contiguous(torch.index_select(x, dim, kept))


def lost_mean(self, W: Tensor, mean: Tensor, kept: Tensor) -> Tensor:
  # what the inputs that go add to each output on average: W[:, gone] mean[gone], (N)
  gone = torch.index_fill(mean, 0, kept, 0.)
  return torch.mv(W.to(6), gone)


def zeros_of(self, n: int) -> Tensor:
  return torch.zeros([n])


def plus(self, x: Tensor, y: Tensor) -> Tensor:
  return x.to(6) + y
