"""Initial values under a seed: the numbers that PyTorch 2.13 draws (recorded)."""

from __future__ import annotations

import math
from typing import Any

import pytest

import rushlight as torch
from rushlight import nn

RECORDED: dict[str, tuple[Any, dict[str, list[float]]]] = {
    "Linear": (
        lambda: nn.Linear(2, 2),
        {"weight": [-0.005294, 0.379323, -0.581981, -0.520387], "bias": [-0.272345, 0.189616]},
    ),
    "Conv2d": (
        lambda: nn.Conv2d(1, 1, 2),
        {"weight": [-0.003743, 0.268222, -0.411523, -0.36797], "bias": [-0.192577]},
    ),
    "Embedding": (
        lambda: nn.Embedding(2, 3),
        {"weight": [1.540996, -0.293429, -2.178789, 0.568431, -1.084522, -1.398595]},
    ),
    "LSTM": (
        lambda: nn.LSTM(1, 1),
        {
            "weight_ih_l0": [-0.007487, 0.536444, -0.823045, -0.735939],
            "weight_hh_l0": [-0.385154, 0.268157, -0.019813, 0.792889],
            "bias_ih_l0": [-0.088744, 0.264613, -0.302213, -0.196565],
            "bias_hh_l0": [-0.955348, -0.662282, -0.412223, 0.037044],
        },
    ),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(2, 1),
        {
            "in_proj_weight": [
                *(-0.017159, 0.686662, -0.076855, 0.229161, -0.261724, -0.170231),
                *(-0.827356, -0.573553, -0.356996, 0.032081, 0.34237, 0.519635),
            ],
            "in_proj_bias": [0.0] * 6,
            "out_proj.weight": [-0.005294, 0.379323, -0.581981, -0.520387],
            "out_proj.bias": [0.0, 0.0],
        },
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_seed_zero(name: str) -> None:
    make, expected = RECORDED[name]
    torch.manual_seed(0)
    state = make().state_dict()
    if name == "MultiheadAttention":
        # The output projection is drawn first, the input projections after it.
        assert list(state)[0] == "in_proj_weight"
    for key, values in expected.items():
        assert state[key].flatten().tolist() == pytest.approx(values, abs=2e-6), key


def test_gains() -> None:
    gain = nn.init.calculate_gain
    assert gain("linear") == gain("conv2d") == gain("sigmoid") == 1
    assert gain("tanh") == 5 / 3
    assert gain("relu") == math.sqrt(2)
    assert gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)
    assert gain("selu") == 0.75
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        gain("gelu")
    with pytest.raises(ValueError, match="not a valid number"):
        gain("leaky_relu", True)


def test_bounds_and_shapes() -> None:
    x = nn.init.xavier_uniform_(torch.empty(30, 20), gain=2.0)
    bound = 2.0 * math.sqrt(6 / 50)
    assert 0.9 * bound < x.abs().max().item() <= bound
    t = nn.init.trunc_normal_(torch.empty(1000), std=1.0, a=-0.5, b=0.25)
    assert t.min().item() >= -0.5 and t.max().item() <= 0.25
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        nn.init.kaiming_normal_(torch.empty(3))
    with pytest.raises(ValueError, match="Mode fan not supported"):
        nn.init.kaiming_uniform_(torch.empty(3, 3), mode="fan")
    with pytest.warns(UserWarning, match="no-op"):
        nn.init.kaiming_uniform_(torch.empty(0, 3))
    with pytest.warns(FutureWarning, match="deprecated"):
        nn.init.uniform(torch.empty(3))


def test_fixed_patterns() -> None:
    assert nn.init.eye_(torch.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    conv = nn.Conv1d(2, 2, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight)
    x = torch.arange(8.0).view(1, 2, 4)
    assert torch.equal(conv(x), x)
    weight = nn.init.sparse_(torch.empty(10, 4), sparsity=0.5)
    assert (weight == 0).sum(0).tolist() == [5, 5, 5, 5]
