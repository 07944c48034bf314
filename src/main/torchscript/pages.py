# Attention to a text's best pages. Positions fall into pages of some tokens. A query at p sees its own page up to itself, and of
# those before it the few with the highest bound on its products with their keys, sum over j of max(q_j min_j, q_j max_j) with
# the least and the greatest number of a page's keys in each coordinate (Quest, arXiv 2406.10774).


def seen_of_pages(self, q: Tensor, k: Tensor, position: int, page: int, pages: int) -> Tensor:
  # q (B, h, T, hd) from `position` on, k (B, g, S, hd) -> which positions each query sees (B, h, T, S)
  B = q.size(0)
  h = q.size(1)
  T = q.size(2)
  hd = q.size(3)
  g = k.size(1)
  S = k.size(2)
  n = S // page
  keys = torch.reshape(k[:, :, :n * page], [B, g, n, page, hd])
  least = torch.transpose(torch.amin(keys, [3]), 2, 3)  # (B, g, hd, n)
  greatest = torch.transpose(torch.amax(keys, [3]), 2, 3)
  group = torch.reshape(q, [B, g, h // g * T, hd])
  bound = torch.matmul(torch.clamp_min(group, 0.), greatest) + torch.matmul(torch.clamp_max(group, 0.), least)
  at = torch.arange(S, device=q.device)
  own = torch.unsqueeze(torch.arange(position, position + T, device=q.device), 1)
  before = torch.lt(at[:n], torch.floor_divide(own, page))  # (T, n)
  bound = torch.masked_fill(torch.reshape(bound, [B, h, T, n]), torch.logical_not(before), float("-inf"))
  best = torch.sort(bound, stable=True, dim=-1, descending=True)[1][:, :, :, :pages]
  chosen = torch.logical_and(torch.gt(torch.scatter(torch.zeros_like(bound), -1, best, 1.), 0.), before)
  chosen = torch.constant_pad_nd(torch.repeat_interleave(chosen, page, -1), [0, S - n * page], 0)
  own_page = torch.eq(torch.floor_divide(at, page), torch.floor_divide(own, page))
  return torch.logical_or(chosen, torch.logical_and(own_page, torch.le(at, own)))


def attend_pages(self, q: Tensor, k: Tensor, v: Tensor, position: int, page: int, pages: int, cap: float) -> Tensor:
  # q (B, h, T, hd), k and v (B, g, position + T, hd) -> (B, T, h hd). At most 256 queries at a time, for what they see takes
  # memory
  T = q.size(2)
  if (position + T - 1) // page <= pages:
    return self.attend(q, k, v, position, 0, cap)
  h = q.size(1)
  o = annotate(List[Tensor], [])
  for at in range(0, T, 256):
    end = min(T, at + 256)
    piece = q[:, :, at:end]
    keys = k[:, :, :position + end]
    seen = self.seen_of_pages(piece, keys, position + at, page, pages)
    o.append(self.attend_seen(piece, self.of_queries(keys, h), self.of_queries(v[:, :, :position + end], h), seen, cap))
  return o[0] if len(o) == 1 else torch.cat(o, 1)
