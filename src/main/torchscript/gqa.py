# Fewer heads of keys and values. h query heads read g of keys and values, all of width hd: Q (h hd, n), K and V (g hd, n), their
# biases, where they have some, as a last column; O (d, h hd). s = g / G heads become one, which their s r queries share.


def with_column(self, W: Tensor, bias: Optional[Tensor]) -> Tensor:
  if bias is None:
    return W.to(7)
  return torch.cat([W.to(7), torch.unsqueeze(bias.to(7), 1)], 1)


def mean_heads(self, W: Tensor, hd: int, G: int) -> Tensor:
  return torch.reshape(torch.mean(torch.reshape(W, [G, -1, hd, W.size(1)]), [1]), [G * hd, -1])


def first_heads(self, W: Tensor, hd: int, G: int) -> Tensor:
  return torch.reshape(torch.reshape(W, [G, -1, hd, W.size(1)])[:, 0], [G * hd, -1])


def join_keys(self, Q: Tensor, K: Tensor, H: Tensor, hd: int, G: int) -> List[Tensor]:
  # Coordinates j and j + hd / 2 of a key are turned together, so they are one complex number κ = x + i y, and a factor of it
  # may go to the queries. For each j the s numbers of a group, weighed by the size w of their queries, come closest to u z with
  # u the first eigenvector of E[κ κ*] and z = u* κ; then u, conjugated, and 1 / w go to the queries.
  n = H.size(0)
  half = hd // 2
  q = torch.reshape(Q, [G, -1, Q.size(0) // K.size(0), 2, half, Q.size(1)])  # (G, s, r, 2, hd / 2, n)
  k = torch.reshape(K, [G, -1, 2, half, K.size(1)])
  seen = q[:, :, :, :, :, :n]
  w = torch.sqrt(torch.sum(torch.matmul(seen, H) * seen, [2, 3, 5]))  # (G, s, hd / 2)
  w = torch.clamp_min(w / torch.clamp_min(torch.mean(w, [1], True), 1e-30), 1e-6)
  x = torch.transpose(k[:, :, 0] * torch.unsqueeze(w, 3), 1, 2)  # (G, hd / 2, s, n)
  y = torch.transpose(k[:, :, 1] * torch.unsqueeze(w, 3), 1, 2)
  xt = torch.transpose(x[:, :, :, :n], 2, 3)
  yt = torch.transpose(y[:, :, :, :n], 2, 3)
  xH = torch.matmul(x[:, :, :, :n], H)
  yH = torch.matmul(y[:, :, :, :n], H)
  A = torch.matmul(xH, xt) + torch.matmul(yH, yt)
  B = torch.matmul(yH, xt) - torch.matmul(xH, yt)
  M = torch.cat([torch.cat([A, -B], 3), torch.cat([B, A], 3)], 2)  # A + i B in real numbers
  u = torch.linalg_eigh(M)[1][:, :, :, -1:]  # (G, hd / 2, 2 s, 1)
  a = u[:, :, :x.size(2)]
  b = u[:, :, x.size(2):]
  z = torch.stack([torch.sum(a * x + b * y, [2]), torch.sum(a * y - b * x, [2])], 1)  # (G, 2, hd / 2, n)
  a = torch.unsqueeze(torch.transpose(a, 1, 2) / torch.unsqueeze(w, 3), 2)  # (G, s, 1, hd / 2, 1)
  b = torch.unsqueeze(torch.transpose(b, 1, 2) / torch.unsqueeze(w, 3), 2)
  real = q[:, :, :, 0]
  imaginary = q[:, :, :, 1]
  turned = torch.stack([a * real + b * imaginary, a * imaginary - b * real], 3)
  return [torch.reshape(turned, Q.size()), torch.reshape(z, [G * hd, -1])]


def join_values(self, V: Tensor, O: Tensor, H: Tensor, hd: int, G: int) -> List[Tensor]:
  # what the s heads add to the stream, Σ O_i v_i, loses least if v = Pᵀ [L_1ᵀ v_1; ...] with L_i L_iᵀ = O_iᵀ O_i and P the first hd
  # eigenvectors of the second moment of that; then O_i becomes O_i L_i⁻ᵀ P_i
  n = H.size(0)
  s = V.size(0) // hd // G
  v = torch.reshape(V, [G * s, hd, V.size(1)])
  o = torch.transpose(torch.reshape(O, [O.size(0), G * s, -1, hd]), 0, 1)  # (G s, d, r, hd)
  flat = torch.reshape(o, [G * s, -1, hd])
  gram = torch.matmul(torch.transpose(flat, 1, 2), flat)
  size = torch.mean(torch.diagonal(gram, 0, 1, 2), [1])
  L = torch.linalg_cholesky(gram + torch.reshape(1e-9 * size + 1e-30, [-1, 1, 1]) * torch.eye(hd, dtype=7))
  u = torch.reshape(torch.matmul(torch.transpose(L, 1, 2), v), [G, s * hd, V.size(1)])
  P = torch.linalg_eigh(torch.matmul(torch.matmul(u[:, :, :n], H), torch.transpose(u[:, :, :n], 1, 2)))[1][:, :, -hd:]
  back = torch.linalg_solve_triangular(torch.transpose(L, 1, 2), torch.reshape(P, [G * s, hd, hd]), upper=True)
  o = torch.matmul(o, torch.unsqueeze(back, 1))
  return [torch.reshape(torch.matmul(torch.transpose(P, 1, 2), u), [G * hd, -1]),
          torch.reshape(torch.transpose(o, 0, 1), O.size())]


def join_heads(self, Q: Tensor, K: Tensor, V: Tensor, O: Tensor, H: Tensor, hd: int, G: int) -> List[Tensor]:
  QK = self.join_keys(Q, K, H.to(7), hd, G)
  VO = self.join_values(V, O.to(7), H.to(7), hd, G)
  return [QK[0], QK[1], VO[0], VO[1]]


def without_column(self, W: Tensor, n: int, dtype: int) -> Tensor:
  return torch.contiguous(W[:, :n]).to(dtype)


def last_column(self, W: Tensor) -> Tensor:
  return torch.contiguous(W[:, W.size(1) - 1]).to(6)
