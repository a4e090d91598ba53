"""What is float32 is computed as float32, whichever library does it."""

import pytest
import torch
from torch.nn import functional as f

from ufm.device import float32

PRODUCTS = {
    "linear": lambda x, w: f.linear(x, w),
    "mm": lambda x, w: x @ w.T,
    "bmm": lambda x, w: torch.bmm(x[None], w.T[None])[0],
    "baddbmm": lambda x, w: torch.baddbmm(torch.zeros(1, 1, len(w), dtype=x.dtype), x[None], w.T[None])[0],
    "conv2d": lambda x, w: f.conv2d(x[:, :, None, None], w[:, :, None, None])[:, :, 0, 0],
}
UNIT = {"float32": 2**-24, "bfloat16": 2**-9}  # the share by which rounding changes a number


@pytest.fixture(autouse=True)
def as_it_was():
    before = torch.backends.mkldnn.matmul.fp32_precision
    yield
    torch.backends.mkldnn.matmul.fp32_precision = before


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("shape", [(128, 784, 512), (512, 128, 784), (7, 25, 3)])
def test_products_round_as_float32_does(product, shape):
    n, n_in, n_out = shape
    draws = torch.Generator().manual_seed(0)
    x, w = torch.randn(n, n_in, generator=draws), torch.randn(n_out, n_in, generator=draws)

    def error(inputs, weights):
        exact = PRODUCTS[product](x.double(), w.double())
        return float(((PRODUCTS[product](inputs, weights).double() - exact) / (x.abs() @ w.abs().T)).abs().max())

    float32()
    assert error(x, w) < 30 * UNIT["float32"]
    coarse = (values.bfloat16().float() for values in (x, w))
    assert error(*coarse) > 30 * UNIT["float32"]  # which rounding to bfloat16 would not pass


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_f": True, "amx_tile": False}, "bf16"),
        ({"avx512_f": True, "amx_tile": True}, "none"),  # where oneDNN would round
        ({"avx2": True}, "none"),
        ({"neon": True, "bf16": True}, "none"),
    ],
)
def test_onednn_multiplies_where_it_does_not_round(able, expected, monkeypatch):
    torch.backends.mkldnn.matmul.fp32_precision = "none"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    float32()
    assert torch.backends.mkldnn.matmul.fp32_precision == expected
