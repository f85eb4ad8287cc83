"""Compares the file named on the command line with what make.py makes: types, values, tied tensors."""

import sys

import torch

import make


def same(a, b, at="file"):
    assert type(a) is type(b), (at, type(a), type(b))
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b), at
        assert a.requires_grad == b.requires_grad, at
    elif isinstance(a, dict):
        assert list(a) == list(b), (at, list(a), list(b))
        for k in a:
            same(a[k], b[k], f"{at}.{k}")
    elif isinstance(a, (list, tuple)) and not isinstance(a, torch.Size):
        assert len(a) == len(b), at
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{at}.{i}")
    else:
        assert a == b, (at, a, b)


loaded = torch.load(sys.argv[1], map_location="cpu")
same(make.values(), loaded)
x, y = loaded["tied"]
assert x.data_ptr() == y.data_ptr()
