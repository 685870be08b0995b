"""Where results lie in memory: as their inputs, contiguous, or as `memory_format` says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import rushlight as torch

LAST = torch.channels_last


def image() -> torch.Tensor:
    return torch.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5).contiguous(memory_format=LAST)


def turned() -> torch.Tensor:
    return torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)


KEPT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "clone": lambda x: x.clone(),
    "zeros_like": torch.zeros_like,
    "randn_like": torch.randn_like,
    "sort": lambda x: x.sort(1)[0],
    "index_fill": lambda x: x.index_fill(0, torch.tensor([0]), 1.0),
    "rows": lambda x: x[torch.arange(x.shape[0])],
    "hypot": lambda x: torch.hypot(x, x),
    "mse_loss": lambda x: torch.nn.functional.mse_loss(x, x, reduction="none"),
}


@pytest.mark.parametrize("name", KEPT)
def test_as_the_input_lies(name: str) -> None:
    x = image()
    assert KEPT[name](x).is_contiguous(memory_format=LAST)
    plain = x.contiguous()
    if name != "randn_like":
        assert torch.equal(KEPT[name](x), KEPT[name](plain))
    assert KEPT[name](plain).is_contiguous()


CONTIGUOUS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "clone": lambda x: x.clone(memory_format=torch.contiguous_format),
    "zeros_like": lambda x: torch.zeros_like(x, memory_format=torch.contiguous_format),
    "to": lambda x: x.to(torch.float64, memory_format=torch.contiguous_format),
    "masked_fill": lambda x: x.masked_fill(x > 3, 0.0),
    "cat": lambda x: torch.cat([x, x]),
    "stack": lambda x: torch.stack([x, x]),
    "roll": lambda x: torch.roll(x, 1, 0),
    "tril": torch.tril,
    "power": lambda x: 2**x,
}


@pytest.mark.parametrize("name", CONTIGUOUS)
def test_contiguous_whatever_the_input(name: str) -> None:
    x = turned()
    y = CONTIGUOUS[name](x)
    assert y.is_contiguous()
    assert torch.equal(y, CONTIGUOUS[name](x.contiguous()))


IMAGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cat": lambda x: torch.cat([x, x], 1),
    "roll": lambda x: torch.roll(x, (1, 2), (1, 3)),
    "reflect": lambda x: torch.nn.functional.pad(x, (1, 2, 2, 1), mode="reflect"),
    "replicate": lambda x: torch.nn.functional.pad(x, (1, 2, 2, 1), mode="replicate"),
    "cut": lambda x: torch.nn.functional.pad(x, (-1, 2)),
    "pixel_shuffle": lambda x: torch.pixel_shuffle(torch.cat([x] * 4, 1), 2),
    "pixel_unshuffle": lambda x: torch.pixel_unshuffle(x[..., :4].clone(), 2),
    "channel_shuffle": lambda x: torch.channel_shuffle(x, 3),
    "rms_norm": lambda x: torch.nn.functional.rms_norm(x, x.shape[-1:]),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_stay_channels_last(name: str) -> None:
    x = image()
    y = IMAGES[name](x)
    assert y.is_contiguous(memory_format=LAST) and not y.is_contiguous()
    torch.testing.assert_close(y, IMAGES[name](x.contiguous()))


def test_random_numbers_are_filled_in_as_memory_has_them() -> None:
    for fill in (torch.Tensor.uniform_, torch.Tensor.exponential_, torch.Tensor.random_):
        torch.manual_seed(0)
        x = fill(image())
        torch.manual_seed(0)
        assert torch.equal(x.permute(0, 2, 3, 1).reshape(-1), fill(torch.empty(120)))
    torch.manual_seed(0)
    numbers = torch.empty(120, dtype=torch.float64).log_normal_(0.5, 2.0).log()
    torch.manual_seed(0)
    x = image().double().normal_(0.5, 2.0)  # not in blocks, as contiguous tensors of this size
    torch.testing.assert_close(x.permute(0, 2, 3, 1).reshape(-1), numbers)


def test_quantiles_of_an_inner_dim() -> None:
    x = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.quantile(x, 0.5, 1).tolist() == x[:, 1].tolist()
    assert torch.quantile(x, torch.tensor([0.0, 1.0]), 1, keepdim=True).shape == (2, 2, 1, 2, 2)
