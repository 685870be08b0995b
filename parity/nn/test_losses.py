"""Every loss against PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compare import compare

pytestmark = pytest.mark.filterwarnings("ignore")  # both libraries warn of the same things

_x, _y = torch.randn(4, 5), torch.randn(4, 5)
_classes = torch.tensor([0, 2, 4, 1])
_signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
_probabilities = torch.rand(4, 5) * 0.8 + 0.1
_weights = torch.rand(5) + 0.5

LOSSES: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("L1Loss", {}, (_x, _y)),
    ("MSELoss", {}, (_x, _y)),
    ("SmoothL1Loss", {"beta": 0.5}, (_x, _y)),
    ("HuberLoss", {"delta": 0.7}, (_x, _y)),
    ("BCELoss", {}, (_probabilities, _probabilities.flip(0))),
    ("BCEWithLogitsLoss", {}, (_x, _probabilities)),
    ("CrossEntropyLoss", {}, (_x, _classes)),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "ignore_index": 2}, (_x, _classes)),
    ("CrossEntropyLoss", {}, (_x, _y.softmax(1))),
    ("CrossEntropyLoss", {}, (torch.randn(2, 3, 4), torch.tensor([[0, 1, 2, 0], [2, 1, 0, 0]]))),
    ("NLLLoss", {}, (_x.log_softmax(1), _classes)),
    ("KLDivLoss", {}, (_x.log_softmax(1), _y.softmax(1))),
    ("KLDivLoss", {"log_target": True}, (_x.log_softmax(1), _y.log_softmax(1))),
    ("PoissonNLLLoss", {"full": True}, (_x, _probabilities * 5)),
    ("GaussianNLLLoss", {}, (_x, _y, _probabilities)),
    ("HingeEmbeddingLoss", {}, (_x[:, 0], _signs)),
    ("SoftMarginLoss", {}, (_x[:, 0], _signs)),
    ("MultiLabelSoftMarginLoss", {}, (_x, (_y > 0).float())),
    ("MultiMarginLoss", {"p": 2}, (_x, _classes)),
    ("MultiLabelMarginLoss", {}, (_x, torch.tensor([[1, 2, -1, 0, 0]] * 4))),
    ("CosineEmbeddingLoss", {"margin": 0.1}, (_x, _y, _signs)),
    ("MarginRankingLoss", {"margin": 0.1}, (_x[:, 0], _y[:, 0], _signs)),
    ("TripletMarginLoss", {"swap": True}, (_x, _y, _x.flip(0))),
    ("TripletMarginWithDistanceLoss", {}, (_x, _y, _x.flip(0))),
    (
        "CTCLoss",
        {},
        (
            torch.randn(7, 2, 5).log_softmax(2),
            torch.tensor([[1, 2, 2], [3, 4, 1]]),
            (7, 6),
            (3, 2),
        ),
    ),
]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("case", LOSSES, ids=[f"{c[0]}-{i}" for i, c in enumerate(LOSSES)])
def test_loss_matches_torch(case: Any, reduction: str) -> None:
    name, kwargs, inputs = case
    with_grad = 3 if name.startswith("Triplet") else 2 if "Embedding" in name else 1
    with_grad = 1 if name == "HingeEmbeddingLoss" else with_grad
    compare(
        lambda lib: getattr(lib.nn, name)(reduction=reduction, **kwargs),
        inputs,
        with_grad=with_grad,
    )


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"])
def test_class_weights(name: str) -> None:
    def make(lib: Any) -> Any:
        return getattr(lib.nn, name)(weight=lib.tensor(_weights.tolist()))

    compare(make, (_x.log_softmax(1), _classes))
