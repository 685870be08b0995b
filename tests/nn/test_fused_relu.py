"""Sequential runs a layer and the ReLU behind it in one kernel: nothing else may change."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn.modules import _fused

PAIRS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(7, 5), (3, 7)),
    "linear of one row": (lambda: nn.Linear(7, 5), (1, 7)),
    "linear without bias": (lambda: nn.Linear(7, 5, bias=False), (3, 7)),
    "linear of a vector": (lambda: nn.Linear(7, 5), (7,)),
    "linear of a batch": (lambda: nn.Linear(7, 5), (2, 3, 7)),
    "linear, large": (lambda: nn.Linear(130, 190), (70, 130)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3), (2, 3, 20)),
    "few channels": (lambda: nn.Conv2d(3, 6, 5), (2, 3, 12, 13)),
    "many outputs": (lambda: nn.Conv2d(3, 40, 5, padding=1), (2, 3, 12, 13)),
    "many images": (lambda: nn.Conv2d(6, 10, 5), (32, 6, 14, 14)),
    "3 x 3": (lambda: nn.Conv2d(16, 20, 3, padding=1), (2, 16, 19, 21)),
    "1 x 1": (lambda: nn.Conv2d(16, 20, 1), (2, 16, 9, 9)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8), (2, 8, 17, 18)),
    "depthwise of a few rows": (lambda: nn.Conv2d(8, 8, 3, groups=8), (2, 8, 4, 18)),
    "no bias": (lambda: nn.Conv2d(3, 6, 3, bias=False), (2, 3, 9, 9)),
    "reflected": (lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"), (2, 3, 9, 9)),
    "same": (lambda: nn.Conv2d(3, 6, 4, padding="same"), (2, 3, 9, 9)),
    "one image": (lambda: nn.Conv2d(3, 6, 3), (3, 9, 9)),
    "conv3d": (lambda: nn.Conv3d(3, 6, 3), (2, 3, 6, 7, 8)),
}


def apart(layer: nn.Module) -> nn.Module:
    """The same layers with an Identity between them, which keeps them apart."""
    return nn.Sequential(copy.deepcopy(layer), nn.Identity(), nn.ReLU())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", PAIRS)
def test_numbers_and_gradients(name: str, dtype: torch.dtype) -> None:
    make, shape = PAIRS[name]
    torch.manual_seed(0)
    layer = make().to(dtype)
    results = []
    for net in (nn.Sequential(layer, nn.ReLU()), apart(layer)):
        torch.manual_seed(1)
        x = torch.randn(*shape).to(dtype).requires_grad_()
        y = net(x)
        assert float(y.min()) == 0
        (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(dtype)).sum().backward()
        with torch.no_grad():
            assert torch.equal(net(x), y)
        results.append([y.detach(), x.grad, *[p.grad for p in net.parameters()]])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_nan_infinity_and_signs() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.fill_(0.0)
        y = net(torch.tensor([[float("nan")], [float("inf")], [-float("inf")], [-1.0], [2.0]]))
    assert y[0].isnan().all() and y[1:, 0].tolist() == [float("inf"), 0.0, 0.0, 2.0]


def test_the_graph_prints_the_same() -> None:
    x = torch.randn(2, 7)
    node = nn.Sequential(nn.Linear(7, 5), nn.ReLU())(x).grad_fn
    names = [node.name(), node.next_functions[0][0].name()]
    names += [None if f is None else f.name() for f, _ in node.next_functions[0][0].next_functions]
    assert names == ["ReluBackward0", "AddmmBackward0", "AccumulateGrad", None, "TBackward0"]
    node = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())(torch.randn(1, 1, 4, 4)).grad_fn
    assert [node.name(), node.next_functions[0][0].name()] == [
        "ReluBackward0", "ConvolutionBackward0",
    ]  # fmt: skip


def count_fused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    fused: list[str] = []
    original = _fused.with_relu
    monkeypatch.setattr(
        "rushlight.nn.modules.container.with_relu",
        lambda layer, x: fused.append(type(layer).__name__) or original(layer, x),
    )
    return fused


def test_which_pairs_are_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = count_fused(monkeypatch)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4), nn.Linear(4, 4), nn.ReLU(),
        nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2),
    )  # fmt: skip
    expected = torch.randn(1, 1, 4, 4)
    y = expected
    for module in net:
        y = module(y)
    assert torch.equal(net(expected), y)
    assert fused == ["Conv2d", "Linear"]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "kind", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
def test_hooks_see_what_they_are_promised(
    kind: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = count_fused(monkeypatch)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    seen: list[tuple] = []
    handle = getattr(net[place], kind)(lambda *arguments: seen.append(arguments))
    net(torch.randn(2, 3, requires_grad=True)).sum().backward()
    assert len(seen) == 1 and not fused
    handle.remove()
    net(torch.randn(2, 3))
    assert fused == ["Linear"]
    if kind == "register_forward_hook" and place == 0:
        assert float(seen[0][2].min()) < 0  # what the layer gave, before the ReLU


def test_other_classes_and_own_forwards_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input) * 2

    fused = count_fused(monkeypatch)
    nn.Sequential(Doubled(3, 4), nn.ReLU())(torch.randn(2, 3))
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    net[0].forward = lambda input: input - 10
    assert net(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2
    assert not fused


@pytest.mark.parametrize("layer", [nn.Linear(3, 4), nn.Conv2d(1, 1, 1)])
def test_what_is_no_tensor_is_refused(layer: nn.Module) -> None:
    for model in (nn.Sequential(layer, nn.ReLU()), apart(layer)):
        for wrong in ([1.0, 2.0, 3.0], None):
            with pytest.raises(TypeError, match="must be Tensor, not (list|NoneType)"):
                model(wrong)


def test_errors_name_the_layer() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    errors = []
    for model in (net, apart(net[0])):
        with pytest.raises(RuntimeError) as caught:
            model(torch.randn(2, 5))
        errors.append((str(caught.value), getattr(caught.value, "__notes__", None)))
    assert errors[0] == errors[1]
