"""ToTensor and Normalize beside the same operations in PyTorch; models beside recorded facts."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch

import rushlight
from rushlight.vision import models, transforms

RNG = numpy.random.default_rng(0)


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (1, 1, 4), (5, 7, 2)])
def test_to_tensor_and_normalize_bit_for_bit(shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 256, shape).astype("uint8")
    mean, std = [0.485, 0.456, 0.406, 0.5][: shape[2]], [0.229, 0.224, 0.225, 0.5][: shape[2]]
    expected = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    got = transforms.ToTensor()(pixels)
    assert numpy.array_equal(got.numpy(), expected.numpy())
    column = (-1, 1, 1)
    expected.sub_(torch.tensor(mean).view(column)).div_(torch.tensor(std).view(column))
    assert numpy.array_equal(transforms.Normalize(mean, std)(got).numpy(), expected.numpy())


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_normalize_in_other_types(dtype: str) -> None:
    values = RNG.random((3, 6, 5)).astype("float32")
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    ours = transforms.Normalize(mean, std)(
        rushlight.from_numpy(values).to(getattr(rushlight, dtype))
    )
    x = torch.from_numpy(values).to(getattr(torch, dtype))
    m, s = (torch.tensor(v, dtype=x.dtype).view(3, 1, 1) for v in (mean, std))
    expected = ((x - m) / s).float().numpy()
    # the kernel rounds once, PyTorch after each of the two steps
    assert numpy.allclose(ours.float().numpy(), expected, atol=0.03 if dtype != "float64" else 0)


def draws(library: Any) -> Any:
    """What a random crop, flip, resized crop and jitter draw, in PyTorch's own calls."""
    library.manual_seed(11)
    crop = [library.randint(0, 9, size=(1,)).item() for _ in range(2)]
    flip = bool(library.rand(1) < 0.5)
    scale = library.empty(1).uniform_(0.08, 1.0).item()
    order = library.randperm(4).tolist()
    return crop, flip, scale, order


def test_the_streams_behind_the_transforms() -> None:
    assert draws(rushlight) == draws(torch)


def test_random_crop_parameters_from_pytorchs_stream() -> None:
    image = rushlight.zeros(3, 40, 40)
    rushlight.manual_seed(5)
    got = transforms.RandomCrop.get_params(image, (32, 32))
    torch.manual_seed(5)
    expected = [torch.randint(0, 9, size=(1,)).item() for _ in range(2)]
    assert list(got) == [*expected, 32, 32]


def test_resized_crop_parameters_from_pytorchs_stream() -> None:
    rushlight.manual_seed(6)
    got = transforms.RandomResizedCrop.get_params(
        rushlight.zeros(3, 50, 60), (0.1, 1.0), (0.75, 4 / 3)
    )
    torch.manual_seed(6)
    low, high = torch.log(torch.tensor([0.75, 4 / 3]))
    for _ in range(10):
        area = 3000 * torch.empty(1).uniform_(0.1, 1.0).item()
        aspect = torch.exp(torch.empty(1).uniform_(low, high)).item()
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if w <= 60 and h <= 50:
            top, left = (torch.randint(0, n + 1, size=(1,)).item() for n in (50 - h, 60 - w))
            break
    assert got == (top, left, h, w)


# First numbers of a freshly made model, recorded from torchvision 0.28 on PyTorch 2.13 after
# manual_seed(0): the weights are drawn in torchvision's order.
RECORDED = {
    "resnet18": {
        "conv1.weight": [0.024109675, 0.0075287749, 0.046658374],
        "layer2.0.downsample.0.weight": [-0.10871898, 0.076231405, -0.17475659],
        "layer4.1.conv2.weight": [0.02886549, 0.011732267, -0.01458741],
        "fc.weight": [-0.020315496, 0.018677866, 0.03755622],
        "fc.bias": [-0.017327722, -0.043164603, 0.0086843949],
    },
    "resnet50": {
        "layer1.0.conv3.weight": [0.038215507, -0.048861258, 0.018872278],
        "layer4.2.conv1.weight": [0.030104833, -0.056470536, -0.096732147],
        "fc.weight": [-0.0077490797, -0.0086243516, -0.015627936],
    },
    "squeezenet1_1": {
        "features.0.weight": [0.35232091, 0.17721716, -0.27677],
        "features.12.expand3x3.weight": [-0.051735226, -0.086675912, -0.07088358],
        "classifier.1.weight": [-0.0055160699, 0.012791153, -0.016788039],
    },
    "mobilenet_v2": {
        "features.0.0.weight": [0.0048479084, 0.17334324, -0.0090975184],
        "features.9.conv.1.0.weight": [0.035737846, 0.019532543, -0.04820966],
        "classifier.1.weight": [0.011795287, -0.0027530857, 0.0015467964],
    },
}


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_initialisation_is_torchvisions(name: str) -> None:
    rushlight.manual_seed(0)
    state = models.get_model(name).state_dict()
    for key, expected in RECORDED[name].items():
        values = state[key].flatten()[:3].tolist()
        assert numpy.allclose(values, expected, rtol=1e-5, atol=1e-7), key
