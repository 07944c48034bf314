# Feed-forward channels in groups, the experts. x (B, T, d) is what gate, up and router read, a (B, T, f) what down reads.


def channel_profiles(self, a: Tensor, weight: Tensor, step: int) -> Tensor:
  # how much each channel adds to the stream for every `step`th token: (f, tokens)
  rows = torch.reshape(a, [-1, a.size(2)])[::step]
  return torch.t(torch.abs(rows)) * torch.unsqueeze(torch.linalg_vector_norm(weight.to(6), 2, [0]), 1)


def directions(self, pieces: List[Tensor]) -> Tensor:
  # profiles of length 1, pieces side by side
  all = torch.cat(pieces, 1)
  return all / torch.clamp_min(torch.linalg_vector_norm(all, 2, [1], True), 1e-30)


def closeness(self, profiles: Tensor, centres: Tensor) -> Tensor:
  # (f, p) and (E, p) -> (f, E), the smaller the closer: squared distances, less what all of a row share
  return torch.sum(torch.square(centres), [1]) - 2. * torch.matmul(profiles, torch.t(centres))


def centres(self, profiles: Tensor, members: Tensor) -> Tensor:
  # members (E, width): channels -> the mean profile of each expert (E, p)
  each = torch.index_select(profiles, 0, torch.reshape(members, [-1]))
  return torch.mean(torch.reshape(each, [members.size(0), members.size(1), -1]), [1])


def expert_scores(self, a: Tensor, weight: Tensor, members: Tensor) -> Tensor:
  # log of the energy that each expert adds to the stream: (tokens, E)
  energy = torch.square(torch.reshape(a, [-1, a.size(2)])) * torch.sum(torch.square(weight.to(6)), [0])
  each = torch.index_select(energy, 1, torch.reshape(members, [-1]))
  sums = torch.sum(torch.reshape(each, [each.size(0), members.size(0), members.size(1)]), [2])
  return torch.log(sums + 1e-6 * torch.mean(sums) + 1e-30)


def router_moments(self, d: int, experts: int) -> List[Tensor]:
  # of x and a 1 behind it, with itself and with scores: (d + 1, d + 1), (d + 1, E)
  return [torch.zeros([d + 1, d + 1], dtype=7), torch.zeros([d + 1, experts], dtype=7)]


def add_moments(self, moments: List[Tensor], x: Tensor, scores: Tensor) -> int:
  rows = torch.reshape(x, [-1, x.size(2)]).to(7)
  rows = torch.cat([rows, torch.ones([rows.size(0), 1], dtype=7)], 1)
  torch.add_(moments[0], torch.matmul(torch.t(rows), rows))
  torch.add_(moments[1], torch.matmul(torch.t(rows), scores.to(7)))
  return rows.size(0)


def router(self, moments: List[Tensor], damping: float, dtype: int) -> List[Tensor]:
  # ridge regression -> [(E, d), (E)]
  squares = moments[0]
  ridge = damping * torch.mean(torch.diagonal(squares)) * torch.eye(squares.size(0), dtype=7)
  w = torch.linalg_solve(squares + ridge, moments[1])  # (d + 1, E)
  last = w.size(0) - 1
  return [torch.contiguous(torch.t(w[:last])).to(dtype), w[last].to(dtype)]
