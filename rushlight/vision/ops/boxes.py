"""Boxes `(N, 4)` given by their corners (x1, y1, x2, y2)."""

from __future__ import annotations

import rushlight
from rushlight import Tensor

__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "generalized_box_iou",
    "nms",
    "remove_small_boxes",
]


def box_area(boxes: Tensor) -> Tensor:
    """The areas `(N,)` of boxes."""
    boxes = _widened(boxes)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _widened(boxes: Tensor) -> Tensor:
    """In a type in which products of coordinates neither round nor overflow."""
    if boxes.is_floating_point():
        return boxes if boxes.dtype in (rushlight.float32, rushlight.float64) else boxes.float()
    return boxes if boxes.dtype in (rushlight.int32, rushlight.int64) else boxes.int()


def _intersection_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    top_left = rushlight.max(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = rushlight.min(boxes1[:, None, 2:], boxes2[None, :, 2:])
    sides = _widened(bottom_right - top_left).clamp(min=0)
    intersection = sides[:, :, 0] * sides[:, :, 1]
    union = box_area(boxes1)[:, None] + box_area(boxes2)[None, :] - intersection
    return intersection, union


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of all pairs: `(N, 4)` and `(M, 4)` give `(N, M)`.

    >>> import rushlight as torch
    >>> a = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    >>> torch.vision.ops.box_iou(a, torch.tensor([[1.0, 0.0, 3.0, 2.0]]))
    tensor([[0.3333]])
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    return intersection / union


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """`iou − (hull − union) / hull`, the hull being the smallest box around both.

    From Rezatofighi et al. 2019.
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    top_left = rushlight.min(boxes1[:, None, :2], boxes2[None, :, :2])
    bottom_right = rushlight.max(boxes1[:, None, 2:], boxes2[None, :, 2:])
    sides = _widened(bottom_right - top_left).clamp(min=0)
    hull = sides[:, :, 0] * sides[:, :, 1]
    return intersection / union - (hull - union) / hull


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Between "xyxy" (corners), "xywh" (corner and sides) and "cxcywh" (centre and sides).

    Raises ValueError for another format.

    >>> import rushlight as torch
    >>> torch.vision.ops.box_convert(torch.tensor([[1.0, 1.0, 2.0, 4.0]]), "xywh", "xyxy")
    tensor([[1., 1., 3., 5.]])
    """
    for name in (in_fmt, out_fmt):
        if name not in ("xyxy", "xywh", "cxcywh"):
            raise ValueError(
                f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt "
                f"{out_fmt}"
            )
    if in_fmt == out_fmt:
        return boxes.clone()
    return _from_corners(_to_corners(boxes, in_fmt), out_fmt)


def _to_corners(boxes: Tensor, in_fmt: str) -> Tensor:
    if in_fmt == "xyxy":
        return boxes
    x, y, w, h = boxes.unbind(-1)
    if in_fmt == "xywh":
        return rushlight.stack((x, y, x + w, y + h), -1)
    return rushlight.stack((x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h), -1)


def _from_corners(boxes: Tensor, out_fmt: str) -> Tensor:
    if out_fmt == "xyxy":
        return boxes
    x1, y1, x2, y2 = boxes.unbind(-1)
    if out_fmt == "xywh":
        return rushlight.stack((x1, y1, x2 - x1, y2 - y1), -1)
    return rushlight.stack(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), -1)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes cut at the border of an image of `(height, width)`."""
    height, width = size
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return rushlight.stack((x, y), -1).reshape(boxes.shape)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The indices of boxes with both sides at least `min_size`."""
    wide = (boxes[:, 2] - boxes[:, 0]) >= min_size
    high = (boxes[:, 3] - boxes[:, 1]) >= min_size
    return rushlight.where(wide & high)[0]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The indices of the boxes kept by non-maximum suppression, best score first.

    A box falls if it overlaps one kept before it by more than `iou_threshold`.

    >>> import rushlight as torch
    >>> boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]])
    >>> torch.vision.ops.nms(boxes, torch.tensor([0.8, 0.9, 0.1]), 0.5)
    tensor([1, 2])
    """
    if boxes.ndim != 2 or boxes.size(1) != 4 or scores.shape != boxes.shape[:1]:
        raise RuntimeError(
            f"[nms] expected boxes (N, 4) and scores (N,); got {tuple(boxes.shape)} and "
            f"{tuple(scores.shape)}"
        )
    order = scores.argsort(descending=True, stable=True)
    overlaps = (box_iou(boxes[order], boxes[order]) > iou_threshold).tolist()
    kept: list[int] = []
    for i, row in enumerate(overlaps):
        if not any(row[j] for j in kept):
            kept.append(i)
    return order[rushlight.tensor(kept, dtype=rushlight.int64)]


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` within each class `idxs`: boxes of different classes do not suppress each other."""
    if boxes.numel() == 0:
        return rushlight.empty((0,), dtype=rushlight.int64)
    step = boxes.max() + 1  # further apart than any box is wide
    return nms(boxes + (idxs.to(boxes.dtype) * step)[:, None], scores, iou_threshold)
