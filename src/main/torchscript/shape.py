# What KernelSettings says of a model in integers; 0 for none. The one file that holds a type.


class Shape(NamedTuple):
  h : int  # query heads
  g : int  # of keys and values
  hd : int  # their width
  activation : int
  sinks : int  # S and W of sinks.py
  window : int
  experts : int  # of a block
  active : int  # how many of them run
  page : int  # tokens of a page of pages.py
  pages : int  # how many a query chooses
  heavy : int  # H and P of heavy.py
  places : int
  windows : List[int]  # of each block; -1 where pages are chosen
