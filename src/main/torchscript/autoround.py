# AutoRound: how to round is learned, a block at a time, from what the block makes of the windows.
#
# A linear in training is four tensors of `state`: u (N, K), its codes before rounding, zero point included; factor (N, G),
# what its scales are multiplied by; scale (N, G); zero (N, G). It stands for w = (round(u) - zero) s with s = factor scale in
# its stored type. A linear that stays as it is has its weights in the place of u. `forms` holds three
# integers for each: its bits (0: stays as it is), the type its scales are stored in, and its slot.


def round_start(self, W: Tensor, packed: Tensor, scale: Tensor, zero: Optional[Tensor], bits: int) -> List[Tensor]:
  # from codes that another technique found: u lies where W does, but never so far from the code that it rounds to another
  N = W.size(0)
  K = W.size(1)
  s = torch.contiguous(scale.to(6))
  z = torch.zeros_like(s)
  if zero is not None:
    z = self.unpack_zero(zero, bits, N).to(6)
  q = self.unpack(packed, bits, K).to(6) - float(2 ** (bits - 1))
  exact = torch.reshape(W.to(6), [N, s.size(1), -1]) / torch.unsqueeze(s, 2) + torch.unsqueeze(z, 2)
  u = q + torch.clamp(torch.reshape(exact, [N, K]) - q, -0.49, 0.49)
  return [u, torch.ones_like(s), s, z]


def round_stay(self, W: Tensor) -> List[Tensor]:
  none = torch.empty([0])
  return [torch.reshape(W, [-1, W.size(-1)]), none, none, none]


def round_scale(self, state: List[Tensor], i: int, dtype: int) -> Tensor:
  return self.stored_scale(state[4 * i + 1] * state[4 * i + 2], dtype)


def round_codes(self, state: List[Tensor], i: int, dtype: int) -> List[Tensor]:
  # -> signed q (N, K) int8, scale (N, G), zero (N, G) int32, as IntegerCodes takes them
  scale = self.round_scale(state, i, dtype).to(dtype)
  return [torch.round(state[4 * i]).to(1), scale, state[4 * i + 3].to(3)]


def round_weight(self, state: List[Tensor], i: int, bits: int, dtype: int) -> Tensor:
  # (N, K) as the stored form will give it back
  if bits == 0:
    return state[4 * i]
  u = state[4 * i]
  code = torch.reshape(torch.round(u), [u.size(0), state[4 * i + 1].size(1), -1])
  zero = torch.unsqueeze(state[4 * i + 3], 2)
  return torch.reshape((code - zero) * torch.unsqueeze(self.round_scale(state, i, dtype), 2), [u.size(0), -1])


def round_slots(self, state: List[Tensor], forms: List[int], slots: int) -> List[Tensor]:
  # the weights of each slot, its linears one below the other
  w = annotate(List[Tensor], [])
  for slot in range(slots):
    parts = annotate(List[Tensor], [])
    for i in range(len(forms) // 3):
      if forms[3 * i + 2] == slot:
        parts.append(self.round_weight(state, i, forms[3 * i], forms[3 * i + 1]))
    w.append(torch.cat(parts, 0))
  return w


def round_windows(self, pieces: List[Tensor], batch: List[int]) -> Tensor:
  # windows by number out of a stream in pieces: (B, T, d)
  each = pieces[0].size(0)
  windows = annotate(List[Tensor], [])
  for i in batch:
    windows.append(pieces[i // each][i % each])
  return torch.stack(windows, 0)


def round_loss(self, x: Tensor, y: Tensor, w: List[Tensor], biases: List[Tensor], norms: List[Tensor], cos: Tensor,
               sin: Tensor, settings: Tensor) -> Tensor:
  # the mean squared error of what the block makes of x against y, (B, T, d) both. w: the weights of its four slots, or the two
  # of attention or of the feed-forward part where it lacks the other; biases: theirs, empty where a slot has none; settings as
  # in KernelSettings
  shape = self.shape_of(settings)
  numbers = self.numbers_of(settings)
  parts = annotate(List[int], [])
  values = annotate(List[Tensor], [])
  n = len(w)
  for slot in range(n):
    parts.extend([0, slot, 0, n + slot if biases[slot].size(0) > 0 else -1])
    values.append(w[slot].to(int(settings[0])))
  values = values + biases
  packed = self.new_packed()
  attends = norms[0].numel() > 0
  feeds = norms[4].numel() > 0
  slots = [0, 1, 2, 3, 4] if attends and feeds else [0, 1, 2, 2, 2] if attends else [0, 0, 0, 1, 2]
  z = x
  if attends:
    o = self.block_attention(z, values, packed, parts, slots, norms, shape, numbers, cos, sin)
    z = self.add_projection(z, o, 1, values, packed, parts, slots, norms, numbers)
  if feeds:
    o = self.block_gated(z, values, packed, parts, slots, norms, shape, numbers)
    z = self.add_projection(z, o, 3, values, packed, parts, slots, norms, numbers)
  return torch.mean(torch.square(z - y))


def recordable(self, xs: List[Tensor]) -> List[Tensor]:
  # copies that a recording of gradients takes
  copies = annotate(List[Tensor], [])
  for x in xs:
    copies.append(torch.clone(x))
  return copies


def round_gradient(self, x: Tensor, y: Tensor, w: List[Tensor], biases: List[Tensor], norms: List[Tensor], cos: Tensor,
                   sin: Tensor, settings: Tensor) -> List[Tensor]:
  # the gradient of the loss in the weights of each slot
  before = torch.is_grad_enabled()
  torch.set_grad_enabled(True)
  leaves = annotate(List[Tensor], [])
  for leaf in self.recordable(w):
    leaves.append(torch.requires_grad_(leaf, True))
  loss = self.round_loss(torch.clone(x), torch.clone(y), leaves, self.recordable(biases), self.recordable(norms),
                         torch.clone(cos), torch.clone(sin), settings)
  result = annotate(List[Tensor], [])
  for gradient in torch.grad([loss], leaves, None, None, False, False):
    if gradient is not None:
      result.append(gradient)
  torch.set_grad_enabled(before)
  return result


def round_step(self, state: List[Tensor], forms: List[int], gradients: List[Tensor], rate: float, scale_rate: float) -> int:
  # signed gradient descent on u and factor, from the gradient in the weights of each slot. Rounding is passed straight
  # through: dw/du = s, dw/dfactor = (code - zero) scale. u stays in reach of a code. -> the linears
  rows = [0 for gradient in gradients]
  n = len(forms) // 3
  for i in range(n):
    bits = forms[3 * i]
    slot = forms[3 * i + 2]
    u = state[4 * i]
    N = u.size(0)
    first = rows[slot]
    rows[slot] = first + N
    if bits > 0:
      half = float(2 ** (bits - 1))
      scale = state[4 * i + 2]
      g = torch.reshape(gradients[slot][first:first + N], [N, scale.size(1), -1])
      code = torch.reshape(torch.round(u), g.size()) - torch.unsqueeze(state[4 * i + 3], 2)
      by_factor = torch.sum(g * code, [2]) * scale
      sign = torch.sign(g * torch.unsqueeze(self.round_scale(state, i, forms[3 * i + 1]), 2))
      torch.clamp_(torch.sub_(u, torch.reshape(sign, u.size()), alpha=rate), -half - 0.49, half - 0.51)
      torch.clamp_(torch.sub_(state[4 * i + 1], torch.sign(by_factor), alpha=scale_rate), 0.1, 10.)
  return n


def round_divergence(self, x: Tensor, y: Tensor, w: Tensor, original: Tensor, norm: Tensor, epsilon: float, cap: float,
                     dtype: int) -> List[Tensor]:
  # what the output layer's weights w (V, d) make of the stream x (B, T, d) against what the original's make of y: the mean
  # Kullback-Leibler divergence of the predictions, and its gradient in w
  x = torch.reshape(self.norm(x, norm, epsilon), [-1, x.size(2)]).to(dtype)  # (M, d)
  y = torch.reshape(self.norm(y, norm, epsilon), [-1, y.size(2)]).to(dtype)
  p = torch.log_softmax(self.capped(torch.linear(y, original.to(dtype)).to(6), cap), 1)  # (M, V)
  logits = self.capped(torch.linear(x, w.to(dtype)).to(6), cap)
  q = torch.log_softmax(logits, 1)
  e = torch.exp(p)
  loss = torch.sum(e * (p - q)) / float(x.size(0))
  by_logits = torch.exp(q) - e
  if cap > 0.:
    by_logits = by_logits * (1. - torch.square(logits / cap))
  g = torch.matmul(torch.t(by_logits.to(dtype)), x).to(6)
  return [loss, g / float(x.size(0))]
