# Moving tensors between disk, Java and libtorch. dtype arguments are libtorch's numbers (see DType.java).


def new_list(self, x: Tensor) -> List[Tensor]:
  # not from a literal []: the graph optimizer would hand out one and the same list every time
  list = [x]
  list.clear()
  return list


def append(self, list: List[Tensor], x: Tensor) -> List[Tensor]:
  list.append(x)
  return list


def map_file(self, path: str, bytes: int) -> Tensor:
  # private mapping, read on first touch: (bytes,) uint8
  return torch.from_file(path, False, bytes, dtype=0)


def reinterpret(self, bytes: Tensor, offset: int, dtype: int, shape: List[int]) -> Tensor:
  # a view of shape `shape` over the bytes from `offset`, without a copy; `bytes` is a whole storage, no view itself
  like = torch.empty([0], dtype=dtype)
  width = like.element_size()
  stride = annotate(List[int], [])
  step = 1
  for i in range(len(shape)):
    stride.insert(0, step)
    step = step * shape[len(shape) - 1 - i]
  return torch.set_(like, bytes, offset // width, shape, stride)


def copy_of(self, bytes: Tensor, offset: int, dtype: int, shape: List[int]) -> Tensor:
  # for offsets that are no multiple of the element's width
  n = 1
  for s in shape:
    n = n * s
  width = torch.empty([0], dtype=dtype).element_size()
  return self.reinterpret(torch.clone(bytes[offset:offset + n * width]), 0, dtype, shape)


def cast(self, x: Tensor, dtype: int) -> Tensor:
  return x.to(dtype)


def count_overflow(self, x: Tensor, dtype: int) -> int:
  # finite elements that the type cannot hold
  if dtype == x.dtype:
    return 0
  n = 0
  for part in torch.split(torch.reshape(x, [-1]), 1048576):
    n = n + int(torch.sum(torch.isfinite(part) & ~torch.isfinite(part.to(dtype))))
  return n


def to_float(self, x: Tensor) -> Tensor:
  return torch.contiguous(x.to(6))


def add_number(self, x: Tensor, by: float) -> Tensor:
  return torch.contiguous(x.to(6)) + by


def scale_and_bias(self, scale: Tensor, bias: Tensor) -> Tensor:
  # of a LayerNorm, (2, d)
  return torch.stack([scale.to(6), bias.to(6)], 0)


def to_device(self, x: Tensor, device: str) -> Tensor:
  return x.to(torch.device(device))


def first_of(self, x: Tensor) -> float:
  return float(torch.reshape(x, [-1])[0])


def host_floats(self, x: Tensor) -> Tensor:
  return torch.contiguous(x.to(6).cpu())


def host_longs(self, x: Tensor) -> Tensor:
  return torch.contiguous(x.to(4).cpu())


def as_bytes(self, x: Tensor) -> Tensor:
  # set_ itself adds the source's storage offset, but counts it in elements of the source
  y = torch.contiguous(x)
  width = y.element_size()
  return self.reinterpret(y, y.storage_offset() * (width - 1), 0, [y.numel() * width])


def start_of(self, x: Tensor) -> Tensor:
  # the first element's bytes, a view; for a tensor without gaps only, whose address is wanted
  assert x.is_contiguous()
  return self.as_bytes(torch.reshape(x, [-1])[:1])


def empty(self, shape: List[int]) -> Tensor:
  return torch.empty(shape)


def empty_of(self, shape: List[int], dtype: int) -> Tensor:
  return torch.empty(shape, dtype=dtype)


def dtype_of(self, x: Tensor) -> int:
  return x.dtype


def bytes_of(self, x: Tensor) -> int:
  return x.numel() * x.element_size()


def bytes_of_list(self, xs: List[Tensor]) -> int:
  n = 0
  for x in xs:
    n = n + x.numel() * x.element_size()
  return n


def rows(self, x: Tensor, first: int, last: int) -> Tensor:
  return x[first:last]


def count_not_finite(self, x: Tensor) -> int:
  n = 0
  for part in torch.split(torch.reshape(x, [-1]), 1048576):
    n = n + int(torch.sum(~torch.isfinite(part)))
  return n


def none(self) -> Optional[Tensor]:
  return None


def same(self, x: Tensor) -> Tensor:
  return x


def ones(self, n: int) -> Tensor:
  return torch.ones([n])
