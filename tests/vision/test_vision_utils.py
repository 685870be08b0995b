"""Grids, files, boxes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rushlight as torch
from rushlight.vision import io, ops, utils


def test_a_grid_has_borders_and_rows() -> None:
    images = torch.arange(1.0, 4.0).reshape(3, 1, 1, 1).expand(3, 3, 2, 2)
    grid = utils.make_grid(images, nrow=2, padding=1, pad_value=9.0)
    assert grid.shape == (3, 7, 7)
    assert grid[0].tolist() == [
        [9, 9, 9, 9, 9, 9, 9],
        [9, 1, 1, 9, 2, 2, 9],
        [9, 1, 1, 9, 2, 2, 9],
        [9, 9, 9, 9, 9, 9, 9],
        [9, 3, 3, 9, 9, 9, 9],
        [9, 3, 3, 9, 9, 9, 9],
        [9, 9, 9, 9, 9, 9, 9],
    ]


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (1, 1, 4, 5)])
def test_one_gray_picture_gets_three_channels(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    grid = utils.make_grid(x)
    assert grid.shape == (3, 4, 5) and torch.equal(grid[2], x.reshape(4, 5))


def test_normalising_a_grid() -> None:
    x = torch.tensor([[[[0.0, 2.0]]], [[[4.0, 8.0]]]])
    together = utils.make_grid(x, padding=0, normalize=True)[0]
    assert together.tolist() == [[0.0, 0.25, 0.5, 1.0]]
    each = utils.make_grid(x, padding=0, normalize=True, scale_each=True)[0]
    assert each.tolist() == [[0.0, 1.0, 0.0, 1.0]]
    clipped = utils.make_grid(x, padding=0, normalize=True, value_range=(2, 4))[0]
    assert clipped.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert x.max().item() == 8.0  # the input is left alone
    with pytest.raises(TypeError, match="value_range"):
        utils.make_grid(x, normalize=True, value_range=[0, 1])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [3, [torch.zeros(1, 2, 2), 3]])
def test_a_grid_needs_tensors(wrong: Any) -> None:
    with pytest.raises(TypeError, match="tensor or list of tensors expected"):
        utils.make_grid(wrong)


def test_saving_rounds_to_the_nearest_value(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow, the vision extra")
    path = tmp_path / "x.png"
    utils.save_image(torch.tensor([[[0.0, 0.5, 1.0, 2.0]]]), path)
    assert list(image.open(path).convert("L").tobytes()) == [0, 128, 255, 255]


def test_boxes_are_drawn() -> None:
    pytest.importorskip("PIL.Image", reason="needs Pillow, the vision extra")
    image = torch.zeros(3, 10, 10, dtype=torch.uint8)
    box = torch.tensor([[2, 3, 6, 8]])
    drawn = utils.draw_bounding_boxes(image, box, colors="red")
    assert drawn[0, 3, 2:7].tolist() == [255] * 5 and drawn[1:].sum().item() == 0
    assert drawn[0, 4, 3].item() == 0 and image.sum().item() == 0
    assert utils.draw_bounding_boxes(image.float(), box, fill=True).max().item() <= 1.0
    with pytest.raises(ValueError, match="xmin, ymin"):
        utils.draw_bounding_boxes(image, torch.tensor([[6, 3, 2, 8]]))
    with pytest.raises(ValueError, match="mismatch"):
        utils.draw_bounding_boxes(image, box, labels=["a", "b"])
    with pytest.raises(TypeError, match="uint8 or float"):
        utils.draw_bounding_boxes(image.to(torch.int32), box)


def test_pictures_in_files(tmp_path: Path, picture: Any, cifar_pixels: Any) -> None:
    pixels = torch.from_numpy(cifar_pixels.transpose(2, 0, 1).copy())
    path = tmp_path / "x.png"
    io.write_png(pixels, path)
    assert torch.equal(io.read_image(path), pixels)
    assert io.read_image(path, io.ImageReadMode.GRAY).shape == (1, 32, 32)
    assert io.decode_image(io.encode_jpeg(pixels, 95), "RGB").shape == (3, 32, 32)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RuntimeError, match="no readable picture"):
        io.read_image(path)
    with pytest.raises(FileNotFoundError):
        io.read_image(tmp_path / "none.png")


def test_boxes() -> None:
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    b = torch.tensor([[1.0, 0.0, 3.0, 2.0]])
    assert torch.allclose(ops.box_iou(a, b), torch.tensor([[1 / 3], [0.0]]))
    assert ops.box_area(a).tolist() == [4.0, 1.0]
    for form in ("xyxy", "xywh", "cxcywh"):
        there = ops.box_convert(a, "xyxy", form)
        assert torch.allclose(ops.box_convert(there, form, "xyxy"), a)
    with pytest.raises(ValueError, match="Unsupported"):
        ops.box_convert(a, "xyxy", "yxyx")
    clipped = ops.clip_boxes_to_image(torch.tensor([[-1.0, 1.0, 9.0, 9.0]]), (4, 5))
    assert clipped.tolist() == [[0.0, 1.0, 5.0, 4.0]]


def test_suppression_of_weaker_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3.9], [0, 0, 4, 1], [9, 9, 10, 10]])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.1])
    assert ops.nms(boxes, scores, 0.5).tolist() == [1, 2, 3]
    classes = torch.tensor([0, 1, 0, 0])
    assert sorted(ops.batched_nms(boxes, scores, classes, 0.5).tolist()) == [0, 1, 2, 3]
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    with pytest.raises(RuntimeError, match="nms"):
        ops.nms(boxes, scores[:2], 0.5)


def test_vision_is_loaded_without_pillow_until_a_picture_is_needed() -> None:
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "import rushlight as torch, numpy\n"
        "from rushlight.vision import transforms, datasets, models, utils\n"
        "print(transforms.ToTensor()(numpy.zeros((2, 2, 3), 'u1')).shape)\n"
        "try: transforms.ToPILImage()(torch.zeros(3, 2, 2))\n"
        "except ImportError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    shape, message = run.stdout.splitlines()
    assert shape == "torch.Size([3, 2, 2])" and 'pip install "rushlight[vision]"' in message
