"""Transforms: exact values on small images, random ones by their draws, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import rushlight as torch
from rushlight.vision import transforms
from rushlight.vision.transforms import InterpolationMode
from rushlight.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image", reason="transforms of PIL images need the vision extra")


@pytest.fixture
def tensor(picture: Any) -> Any:
    return F.to_tensor(picture)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()


def test_to_tensor_is_exact(picture: Any, cifar_pixels: Any) -> None:
    got = F.to_tensor(picture)
    expected = cifar_pixels.transpose(2, 0, 1).astype("float32") / numpy.float32(255)
    assert got.is_contiguous() and numpy.array_equal(got.numpy(), expected)
    assert torch.equal(got, F.to_tensor(cifar_pixels))


@pytest.mark.parametrize(
    ("mode", "dtype", "channels"),
    [
        ("L", torch.float32, 1),
        ("RGBA", torch.float32, 4),
        ("CMYK", torch.float32, 4),
        ("P", torch.float32, 1),
        ("1", torch.float32, 1),
        ("I", torch.int32, 1),
        ("F", torch.float32, 1),
    ],
)
def test_to_tensor_of_every_mode(picture: Any, mode: str, dtype: Any, channels: int) -> None:
    got = F.to_tensor(picture.convert(mode))
    assert (got.dtype, got.shape) == (dtype, (channels, 32, 32))
    if mode == "1":
        assert sorted(set(got.flatten().tolist())) == [0.0, 1.0]


def test_to_tensor_keeps_other_arrays_as_they_are() -> None:
    got = F.to_tensor(numpy.array([[1.5, 300.0]]))
    assert got.dtype == torch.float64 and got.tolist() == [[[1.5, 300.0]]]
    assert F.to_tensor(numpy.zeros((2, 3, 5), "u1")).shape == (5, 2, 3)


def test_to_tensor_follows_the_default_dtype(picture: Any) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert F.to_tensor(picture).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_to_tensor_refuses() -> None:
    with pytest.raises(TypeError, match="PIL Image or ndarray"):
        F.to_tensor([1])
    with pytest.raises(ValueError, match="2/3 dimensional. Got 4"):
        F.to_tensor(numpy.zeros((1, 1, 1, 1)))


def test_there_and_back(picture: Any) -> None:
    assert equal(F.to_pil_image(F.pil_to_tensor(picture)), picture)
    assert equal(F.to_pil_image(F.to_tensor(picture)), picture)
    for mode in ("L", "I", "F", "RGBA", "LA"):
        image = picture.convert(mode)
        back = F.to_pil_image(F.pil_to_tensor(image), mode)
        assert equal(back, image), mode


def test_to_pil_image_refuses() -> None:
    with pytest.raises(TypeError):
        F.to_pil_image([1])
    with pytest.raises(ValueError, match="2/3 dimensional"):
        F.to_pil_image(torch.zeros(1, 1, 1, 1))
    with pytest.raises(ValueError, match="> 4 channels"):
        F.to_pil_image(torch.zeros(5, 2, 2))
    with pytest.raises(ValueError, match="RGB"):
        F.to_pil_image(torch.zeros(3, 2, 2), mode="L")
    with pytest.raises(TypeError, match="int64"):
        F.to_pil_image(torch.zeros(1, 2, 2, dtype=torch.int64))


def test_normalize(tensor: Any) -> None:
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    got = F.normalize(tensor, mean, std)
    for c in range(3):
        assert torch.allclose(got[c], (tensor[c] - mean[c]) / std[c], atol=1e-5)
    batch = F.normalize(torch.stack([tensor, tensor]), mean, std)
    assert torch.equal(batch[1], got)
    assert torch.equal(F.normalize(tensor, [0.5], [0.5])[2], (tensor[2] - 0.5) / 0.5)


def test_normalize_in_place_and_not(tensor: Any) -> None:
    before = tensor.clone()
    F.normalize(tensor, (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(tensor, before)
    result = F.normalize(tensor, (0.5,) * 3, (0.5,) * 3, inplace=True)
    assert result is tensor and not torch.equal(tensor, before)


def test_normalize_is_differentiable() -> None:
    x = torch.ones(1, 2, 2, requires_grad=True)
    F.normalize(x, [0.0], [0.25]).sum().backward()
    assert x.grad.tolist() == [[[4.0, 4.0], [4.0, 4.0]]]


def test_normalize_refuses(tensor: Any) -> None:
    with pytest.raises(TypeError, match="Tensor Image"):
        F.normalize([1], [0], [1])
    with pytest.raises(TypeError, match="float tensor. Got torch.uint8"):
        F.normalize(torch.zeros(1, 2, 2, dtype=torch.uint8), [0], [1])
    with pytest.raises(ValueError, match=r"size \(..., C, H, W\)"):
        F.normalize(torch.zeros(2, 2), [0], [1])
    with pytest.raises(ValueError, match="std evaluated to zero"):
        F.normalize(tensor, (0.5,) * 3, (0.5, 0.0, 0.5))
    with pytest.raises(RuntimeError, match="mean"):
        F.normalize(tensor, (0.5,) * 2, (0.5,) * 2)


def test_convert_image_dtype() -> None:
    bytes_ = torch.tensor([0, 128, 255], dtype=torch.uint8)
    assert F.convert_image_dtype(bytes_).tolist() == [0.0, pytest.approx(128 / 255), 1.0]
    assert F.convert_image_dtype(torch.tensor([0.0, 0.5, 1.0]), torch.uint8).tolist() == [
        0,
        127,
        255,
    ]
    assert F.convert_image_dtype(bytes_, torch.int16).tolist() == [0, 128 * 128, 255 * 128]
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(torch.zeros(1), torch.int32)


@pytest.mark.parametrize("kind", ["pil", "tensor"])
def test_cropping_and_flipping_agree_for_both_kinds(kind: str, picture: Any) -> None:
    image = picture if kind == "pil" else F.pil_to_tensor(picture)
    array = F.pil_to_tensor(picture).numpy()

    def pixels(result: Any) -> Any:
        return (F.pil_to_tensor(result) if kind == "pil" else result).numpy()

    assert numpy.array_equal(pixels(F.hflip(image)), array[:, :, ::-1])
    assert numpy.array_equal(pixels(F.vflip(image)), array[:, ::-1])
    assert numpy.array_equal(pixels(F.crop(image, 2, 3, 5, 6)), array[:, 2:7, 3:9])
    assert numpy.array_equal(pixels(F.center_crop(image, [10, 20])), array[:, 11:21, 6:26])
    beyond = pixels(F.crop(image, -2, 30, 6, 5))
    assert numpy.array_equal(beyond[:, 2:, :2], array[:, :4, 30:]) and beyond[:, :2].sum() == 0
    small = pixels(F.center_crop(image, 34))
    assert small.shape == (3, 34, 34) and numpy.array_equal(small[:, 1:33, 1:33], array)


@pytest.mark.parametrize("kind", ["pil", "tensor"])
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("constant", "constant"),
        ("edge", "edge"),
        ("reflect", "reflect"),
        ("symmetric", "symmetric"),
    ],
)
def test_padding(kind: str, mode: str, name: Any, picture: Any) -> None:
    image = picture if kind == "pil" else F.pil_to_tensor(picture)
    got = F.pad(image, [1, 2, 3, 4], padding_mode=mode)
    got = (F.pil_to_tensor(got) if kind == "pil" else got).numpy()
    array = F.pil_to_tensor(picture).numpy()
    assert numpy.array_equal(got, numpy.pad(array, ((0, 0), (2, 4), (1, 3)), mode=name))


def test_padding_refuses(tensor: Any) -> None:
    with pytest.raises(ValueError, match="1, 2, or 4 element tuple, not a 3"):
        F.pad(tensor, [1, 2, 3])
    with pytest.raises(ValueError, match="Padding mode"):
        F.pad(tensor, 1, padding_mode="wrap")
    with pytest.raises(TypeError, match="padding"):
        F.pad(tensor, "1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "max_size", "expected"),
    [(8, None, (8, 16)), ((5, 7), None, (5, 7)), ([8], 12, (6, 12)), (16, None, (16, 32))],
)
def test_resizing_sizes(size: Any, max_size: Any, expected: tuple[int, int]) -> None:
    image = Image.new("RGB", (32, 16))
    got = F.resize(image, size, max_size=max_size)
    assert got.size[::-1] == expected


def test_resizing_refuses(picture: Any) -> None:
    with pytest.raises(TypeError, match="interpolation"):
        F.resize(picture, 8, interpolation="bilinear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 element"):
        F.resize(picture, [1, 2, 3])
    with pytest.raises(ValueError, match="strictly greater"):
        F.resize(picture, 8, max_size=8)
    with pytest.raises(TypeError, match="Size should be int"):
        transforms.Resize("8")


def test_five_and_ten_crops(tensor: Any) -> None:
    five = F.five_crop(tensor, 10)
    assert torch.equal(five[3], tensor[:, 22:, 22:]) and torch.equal(
        five[4], tensor[:, 11:21, 11:21]
    )
    ten = F.ten_crop(tensor, 10)
    assert len(ten) == 10 and torch.equal(ten[5], tensor.flip(-1)[:, :10, :10])
    with pytest.raises(ValueError, match="bigger than input size"):
        F.five_crop(tensor, 33)


def test_gray_and_colour(tensor: Any, picture: Any) -> None:
    gray = F.rgb_to_grayscale(tensor)
    r, g, b = tensor
    assert torch.allclose(gray[0], 0.2989 * r + 0.587 * g + 0.114 * b, atol=1e-6)
    assert F.rgb_to_grayscale(picture, 3).mode == "RGB"
    assert torch.equal(F.adjust_brightness(tensor, 0.0), torch.zeros_like(tensor))
    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_sharpness):
        assert torch.allclose(adjust(tensor, 1.0), tensor, atol=1e-6)
    assert torch.allclose(F.adjust_hue(tensor, 0.0), tensor, atol=1e-5)
    assert torch.allclose(F.adjust_hue(tensor, 0.5), F.adjust_hue(tensor, -0.5), atol=1e-5)
    assert torch.equal(F.invert(F.invert(F.pil_to_tensor(picture))), F.pil_to_tensor(picture))
    with pytest.raises(ValueError, match="hue_factor"):
        F.adjust_hue(tensor, 0.6)
    with pytest.raises(TypeError, match="permitted channel values"):
        F.adjust_brightness(torch.zeros(2, 4, 4), 1.0)


def test_blur_keeps_a_constant_and_spreads_a_point() -> None:
    constant = torch.full((1, 9, 9), 0.5)
    assert torch.allclose(F.gaussian_blur(constant, 5), constant, atol=1e-6)
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1.0
    blurred = F.gaussian_blur(point, [3, 3], [1.0, 1.0])
    assert blurred.sum().item() == pytest.approx(1.0) and (blurred > 0).sum().item() == 9
    with pytest.raises(ValueError, match="odd and positive"):
        F.gaussian_blur(point, 4)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_right_angles(angle: int, tensor: Any) -> None:
    assert torch.allclose(
        F.rotate(tensor, angle), torch.rot90(tensor, angle // 90, (1, 2)), atol=1e-5
    )


def test_a_shift_by_whole_pixels(tensor: Any) -> None:
    moved = F.affine(tensor, 0, [3, -2], 1.0, [0.0, 0.0], fill=[0.25])
    assert torch.allclose(moved[:, :30, 3:], tensor[:, 2:, :29], atol=1e-5)
    assert torch.allclose(moved[:, 30:], torch.full((3, 2, 32), 0.25))
    with pytest.raises(ValueError, match="scale should be positive"):
        F.affine(tensor, 0, [0, 0], 0.0, 0.0)
    with pytest.raises(ValueError, match="unsupported with Tensor"):
        F.rotate(tensor, 10, InterpolationMode.BICUBIC)


def test_erase(tensor: Any) -> None:
    got = F.erase(tensor, 1, 2, 3, 4, torch.tensor(9.0))
    assert (got == 9.0).sum().item() == 3 * 3 * 4 and (tensor == 9.0).sum().item() == 0
    with pytest.raises(TypeError):
        F.erase("x", 0, 0, 1, 1, torch.tensor(0.0))


def test_random_crop_takes_two_draws(tensor: Any) -> None:
    torch.manual_seed(5)
    top, left = (int(torch.randint(0, 9, (1,)).item()) for _ in range(2))
    torch.manual_seed(5)
    got = transforms.RandomCrop(24)(tensor)
    assert torch.equal(got, tensor[:, top : top + 24, left : left + 24])
    with pytest.raises(ValueError, match="larger than input image size"):
        transforms.RandomCrop(40)(tensor)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_flips_with_certainty(p: float, tensor: Any) -> None:
    got = transforms.RandomHorizontalFlip(p)(tensor)
    assert torch.equal(got, tensor.flip(-1) if p else tensor)


def test_compositions(picture: Any) -> None:
    both = transforms.Compose(
        [transforms.Lambda(lambda x: x + 1), transforms.Lambda(lambda x: 2 * x)]
    )
    assert both(3) == 8
    assert transforms.RandomApply([transforms.Lambda(lambda x: x + 1)], p=1.0)(3) == 4
    assert transforms.RandomApply([transforms.Lambda(lambda x: x + 1)], p=0.0)(3) == 3
    assert transforms.RandomChoice([str, float], p=[0, 1])(3) == 3.0
    assert transforms.RandomOrder([lambda x: x + 1, lambda x: x + 2])(0) == 3
    with pytest.raises(TypeError, match="callable"):
        transforms.Lambda(3)  # type: ignore[arg-type]


def test_the_seed_fixes_a_whole_pipeline(picture: Any) -> None:
    pipeline = transforms.Compose(
        [
            transforms.RandomResizedCrop(16),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.1),
            transforms.RandomRotation(10),
            transforms.ToTensor(),
            transforms.RandomErasing(p=1.0, value="random"),
        ]
    )
    torch.manual_seed(9)
    first = pipeline(picture)
    torch.manual_seed(9)
    assert torch.equal(pipeline(picture), first) and first.shape == (3, 16, 16)
    assert not torch.equal(pipeline(picture), first)


def test_linear_transformation() -> None:
    whiten = transforms.LinearTransformation(2 * torch.eye(4), torch.ones(4))
    assert whiten(torch.zeros(1, 2, 2)).tolist() == [[[-2.0, -2.0], [-2.0, -2.0]]]
    with pytest.raises(ValueError, match="square"):
        transforms.LinearTransformation(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ValueError, match="incompatible shape"):
        whiten(torch.zeros(1, 3, 3))


REPRS = {
    "Resize(size=8, interpolation=bilinear, max_size=None, antialias=True)": lambda: (
        transforms.Resize(8)
    ),
    "CenterCrop(size=(8, 8))": lambda: transforms.CenterCrop(8),
    "RandomCrop(size=(32, 32), padding=4)": lambda: transforms.RandomCrop(32, padding=4),
    "ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=(-0.1, 0.1))": lambda: (
        transforms.ColorJitter(0.5, hue=0.1)
    ),
    "RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)": lambda: (
        transforms.RandomRotation(10)
    ),
    "RandomAffine(degrees=[0.0, 0.0], translate=(0.1, 0.1))": lambda: transforms.RandomAffine(
        0, translate=(0.1, 0.1)
    ),
    "GaussianBlur(kernel_size=(3, 3), sigma=(0.1, 2.0))": lambda: transforms.GaussianBlur(3),
    "RandomApply(\n    p=0.5\n    ToTensor()\n)": lambda: transforms.RandomApply(
        [transforms.ToTensor()]
    ),
}


@pytest.mark.parametrize("text", REPRS)
def test_reprs(text: str) -> None:
    assert repr(REPRS[text]()) == text


REFUSALS = [
    (ValueError, "non negative", lambda: transforms.ColorJitter(brightness=-1)),
    (ValueError, "hue values should be between", lambda: transforms.ColorJitter(hue=0.6)),
    (TypeError, "saturation", lambda: transforms.ColorJitter(saturation="1")),
    (ValueError, "degrees", lambda: transforms.RandomRotation(-1)),
    (ValueError, "translation values", lambda: transforms.RandomAffine(0, translate=(2, 0))),
    (ValueError, "scale values", lambda: transforms.RandomAffine(0, scale=(0, 1))),
    (ValueError, "between 0 and 1", lambda: transforms.RandomErasing(p=2)),
    (ValueError, "should be 'random'", lambda: transforms.RandomErasing(value="x")),
    (ValueError, "odd and positive", lambda: transforms.GaussianBlur(2)),
    (ValueError, "two dimensions", lambda: transforms.CenterCrop((1, 2, 3))),
]


@pytest.mark.parametrize(("error", "message", "make"), REFUSALS)
def test_arguments_are_checked(error: type[Exception], message: str, make: Any) -> None:
    with pytest.raises(error, match=message):
        make()


def test_the_second_version_is_not_there_yet() -> None:
    with pytest.raises(NotImplementedError, match="v2"):
        _ = transforms.v2
