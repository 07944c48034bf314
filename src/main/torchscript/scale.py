# Scaling channels between what makes them and what reads them: (x / s) (W s)ᵀ = x Wᵀ. s (K) > 0; a reader W is (N, K).


def add_magnitudes(self, magnitudes: Tensor, x: Tensor, factor: float) -> Tensor:
  # magnitudes (2, K): the largest |x| so far, and the sum of factor |x|, with x (..., K)
  rows = torch.abs(torch.reshape(x, [-1, x.size(-1)]))
  torch.copy_(magnitudes[0], torch.maximum(magnitudes[0], torch.amax(rows, [0])))
  return torch.add_(magnitudes[1], torch.sum(rows, [0]), alpha=factor)


def unbind(self, x: Tensor) -> List[Tensor]:
  return torch.unbind(x)


def every_row(self, x: Tensor, step: int) -> Tensor:
  return torch.reshape(x, [-1, x.size(-1)])[::step].clone()


def scale_columns(self, w: Tensor, s: Tensor) -> Tensor:
  return w.to(6) * s


def divide_rows(self, w: Tensor, s: Tensor) -> Tensor:
  # a weight (K, J) or a bias (K)
  return torch.reshape(torch.reshape(w.to(6), [s.size(0), -1]) / torch.unsqueeze(s, 1), w.size())


def fold_norm(self, norm: Tensor, s: Tensor, dtype: int) -> List[Tensor]:
  # -> the norm / s as `dtype` stores it, and the s which that amounts to: so rounding it costs nothing. A channel whose norm
  # is zero, or would not fit, keeps its scale. A LayerNorm's bias (2, d) goes along.
  scale = norm[0] if norm.dim() == 2 else norm
  folded = (scale / s).to(dtype).to(6)
  usable = torch.isfinite(folded) & (torch.abs(folded) > 1e-6)
  exact = torch.where(usable, scale / folded, torch.ones_like(s))
  made = torch.where(usable, folded, scale)
  return [torch.stack([made, norm[1] / exact], 0) if norm.dim() == 2 else made, exact]


def smoothing(self, peak: Tensor, ws: List[Tensor], alpha: float) -> Tensor:
  # SmoothQuant: s_j = max|X_j|^α / max|W_j|^(1 - α); a channel that is never used keeps its size
  w = torch.zeros_like(peak)
  for each in ws:
    w = torch.maximum(w, torch.amax(torch.abs(each.to(6)), [0]))
  s = torch.pow(peak, alpha) / torch.pow(torch.clamp_min(w, 1e-5), 1. - alpha)
  return torch.where(peak == 0., torch.ones_like(s), torch.clamp_min(s, 1e-5))


def nearest_int8(self, x: Tensor) -> Tensor:
  # x (n, K), each row rounded to 8 bits, symmetric
  s = torch.clamp_min(torch.amax(torch.abs(x), [1], True) / 127.5, 1e-12)
  return torch.clamp(torch.round(x / s), -128., 127.) * s


def smoothed_error(self, x: Tensor, ws: List[Tensor], s: Tensor) -> float:
  # what quantizing both x / s (M, K), per token, and W s (N, K), per row, costs: of each W the share of its output that is
  # lost, summed up
  q = self.nearest_int8(x / s)
  error = 0.
  for each in ws:
    w = each.to(6)
    y = torch.matmul(x, torch.t(w))
    e = torch.matmul(q, torch.t(self.nearest_int8(w * s))) - y
    error = error + float(torch.sum(torch.square(e))) / max(float(torch.sum(torch.square(y))), 1e-30)
  return error


def weight_mean(self, ws: List[Tensor], groups: List[int]) -> Tensor:
  # AWQ's w̄ (K): |w| as a share of the largest of its group, averaged over the rows of all readers
  sum = torch.zeros([ws[0].size(1)])
  rows = 0
  for i in range(len(ws)):
    w = torch.abs(ws[i].to(6))
    x = torch.reshape(w, [w.size(0), -1, groups[i]])
    x = x / torch.clamp_min(torch.amax(x, [2], True), 1e-10)
    sum = sum + torch.sum(torch.reshape(x, w.size()), [0])
    rows = rows + w.size(0)
  return sum / float(rows)


def awq_scale(self, x: Tensor, w: Tensor, ratio: float, duo: bool) -> Tensor:
  # s = x̄^r, with duo x̄^r / w̄^(1-r), such that its largest and smallest are reciprocal
  s = torch.pow(x, ratio)
  if duo:
    s = s / (torch.pow(w, 1. - ratio) + 1e-4)
  s = torch.clamp_min(s, 1e-4)
  return s / torch.sqrt(torch.amax(s) * torch.amin(s))


def scaled_hessian(self, H: Tensor, s: Tensor) -> Tensor:
  # H of x / s
  return H / (torch.unsqueeze(s, 1) * s)


def clip_codes(self, w: Tensor, H: Tensor, bits: int, group: int, symmetric: bool, steps: int,
               scale_dtype: int) -> List[Tensor]:
  # as rtn, but a group's scale is the one that changes its share of the output least: an error e of a group costs
  # <e, H_gg e>. Of a whole row only the diagonal of H is used.
  K = H.size(0)
  if group == K:
    weight = torch.reshape(torch.diagonal(H), [1, K, 1])
  else:
    weight = torch.stack([H[i:i + group, i:i + group] for i in range(0, K, group)])  # (K / g, g, g)
  return self.round_groups(w, weight, bits, group, symmetric, steps, scale_dtype)
