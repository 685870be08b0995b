"""Classes of modules as users bend them: own attribute rules, own calls, hooks, replaced functions.

The extension looks attributes up and calls modules without the interpreter where a class leaves
both to Module; whatever a class or a program puts in their place has to win.
"""

from __future__ import annotations

import abc
from typing import Any

import pytest

import rushlight as torch
from rushlight import nn


class Double(nn.Module):
    def forward(self, x: torch.Tensor, *rest: Any, plus: float = 0) -> torch.Tensor:
        return x * 2 + plus


@pytest.fixture
def x() -> torch.Tensor:
    return torch.ones(2)


def test_positional_and_keyword_arguments(x: torch.Tensor) -> None:
    assert Double()(x, *range(12), plus=1).tolist() == [3, 3]
    with pytest.raises(TypeError, match="unexpected keyword argument 'minus'"):
        Double()(x, minus=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Double()()


def test_own_getattr_is_asked_last(x: torch.Tensor) -> None:
    class Wrapper(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("inner"), name)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    wrapper = Wrapper(nn.Linear(2, 3))
    assert wrapper.weight is wrapper.inner.weight
    assert wrapper.out_features == 3
    assert wrapper(x).shape == (3,)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'other'"):
        _ = wrapper.other


def test_own_getattribute_is_asked_first() -> None:
    class Counting(nn.Linear):
        seen: list[str] = []

        def __getattribute__(self, name: str) -> Any:
            Counting.seen.append(name)
            return super().__getattribute__(name)

    assert Counting(2, 3).weight.shape == (3, 2)
    assert "weight" in Counting.seen


def test_own_call(x: torch.Tensor) -> None:
    class Loud(Double):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(*args, **kwargs) + 100

    assert Loud()(x).tolist() == [102, 102]


def test_call_replaced_from_outside(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    net, calls = nn.Sequential(Double(), Double()), []
    original = nn.Module.__call__

    def traced(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        calls.append(type(self).__name__)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "__call__", traced)
        assert net(x).tolist() == [4, 4]
    assert calls == ["Sequential", "Double", "Double"]
    assert net(x).tolist() == [4, 4]
    assert len(calls) == 3


def test_getattr_replaced_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Linear(2, 3)
    with monkeypatch.context() as patch:
        patch.setattr(nn.Module, "__getattr__", lambda self, name: f"no {name}", raising=False)
        assert module.missing == "no missing"
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'missing'"):
        _ = module.missing


def test_forward_replaced(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Double()
    module.forward = lambda x: x * 5  # type: ignore[method-assign]
    assert module(x).tolist() == [5, 5]
    del module.forward
    monkeypatch.setattr(Double, "forward", lambda self, x: x * 7)
    assert module(x).tolist() == [7, 7]


def test_forward_that_is_no_plain_function(x: torch.Tensor) -> None:
    class Static(nn.Module):
        @staticmethod
        def forward(x: torch.Tensor) -> torch.Tensor:
            return x * 3

    class Child(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.child = Double()

        @property
        def forward(self) -> Any:
            return self.child

    assert Static()(x).tolist() == [3, 3]
    assert Child()(x).tolist() == [2, 2]


def test_abstract_classes_and_silent_subclass_hooks(x: torch.Tensor) -> None:
    class Base(nn.Module, abc.ABC):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            """Tells nobody of the new class."""

        @abc.abstractmethod
        def scale(self) -> float: ...

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale() * self.factor

    class Three(Base):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def scale(self) -> float:
            return 3

    assert Three()(x).tolist() == [3, 3]
    with pytest.raises(TypeError, match="abstract"):
        Base()


def test_a_property_that_fails_looks_like_a_missing_attribute() -> None:
    class Lazy(nn.Module):
        @property
        def broken(self) -> Any:
            return self.not_there

    with pytest.raises(AttributeError, match="'Lazy' object has no attribute 'broken'"):
        _ = Lazy().broken


def test_a_parameter_hides_behind_a_class_attribute() -> None:
    class Fixed(nn.Module):
        weight = "of the class"

    module = Fixed()
    module._parameters["weight"] = nn.Parameter(torch.ones(1))
    assert module.weight == "of the class"


def test_hooks_come_and_go(x: torch.Tensor) -> None:
    module, seen = Double(), []
    everywhere = nn.modules.module.register_module_forward_hook(lambda *_: seen.append("global"))
    own = module.register_forward_hook(lambda *_: seen.append("own"))
    module(x)
    own.remove()
    module(x)
    everywhere.remove()
    module(x)
    assert seen == ["global", "own", "global"]


def test_called_before_init(x: torch.Tensor) -> None:
    class Hasty(nn.Module):
        def __init__(self) -> None:
            """Forgets Module's."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(AttributeError, match=r"'Hasty' was called before Module.__init__\(\)"):
        Hasty()(x)


def test_endless_recursion_is_an_error_of_python(x: torch.Tensor) -> None:
    class Endless(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self(x)

    with pytest.raises(RecursionError):
        Endless()(x)
