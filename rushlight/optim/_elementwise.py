"""The frame of optimizers that work elementwise: one kernel call per group, or a formula each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import rushlight
from rushlight import Tensor
from rushlight.autograd.variable import dtypes_of, with_gradient
from rushlight.ops.optimizer import fused_rule_, numbers_in
from rushlight.optim.optimizer import Group, Optimizer


class Rule(NamedTuple):
    """A step for the kernel `rule_step`."""

    name: str
    states: tuple[str, ...]  # their names, in the kernel's order
    # per parameter: what it shrinks by, and what the rule asks of it
    factors: Sequence[tuple[float, ...]]
    numbers: tuple[float, ...]  # what all parameters share
    weight_decay: float


class ElementwiseOptimizer(Optimizer):
    """Changes every parameter that has a gradient, by one kernel call per group or by a formula.

    Subclasses write `_init_state` (what is remembered per parameter) and `_update` (the formula).
    Complex parameters come to `_update` as real ones with a last axis of 2. Those that set
    `has_kernel` write `_rule`, too; the formula then serves reduced precision, complex numbers and
    `differentiable` groups.
    """

    has_kernel: ClassVar[bool] = False

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Does one step; `closure`, if given, computes the loss anew and its gradients."""
        loss = None
        if closure is not None:
            with rushlight.enable_grad():
                loss = closure()
        with rushlight.set_grad_enabled(self.defaults.get("differentiable", False)):
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: Group) -> None:
        params, grads = with_gradient(group["params"])
        if not params:
            return
        states = [self.state[param] for param in params]
        if not all(states):
            for param, state in zip(params, states, strict=True):
                if not state:
                    state.update(self._init_state(param, group))
        if self.has_kernel and not group.get("differentiable") and can_fuse(params):
            self._fused_step(params, grads, states, group)
            return
        for param, grad, state in zip(params, grads, states, strict=True):
            self._formula_step(param, grad, state, group)

    def _formula_step(
        self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group
    ) -> None:
        if group.get("maximize"):
            grad = -grad
        if param.is_complex():
            self._update_complex(param, grad, state, group)
        else:
            self._update(param, grad, state, group)

    def _fused_step(
        self, params: list[Tensor], grads: list[Tensor], states: list[Any], group: Group
    ) -> None:
        """One kernel call updates all parameters of the group."""
        rule = self._rule(states, group)
        fused_rule_(
            rule.name,
            params,
            grads,
            [[state[name] for state in states] for name in rule.states],
            rule.factors,
            rule.numbers,
            weight_decay=rule.weight_decay,
            maximize=group["maximize"],
        )

    def _rule(self, states: list[Any], group: Group) -> Rule:
        """What the kernel must know of this step; step counts and the like are moved on here."""
        raise NotImplementedError

    def _update_complex(
        self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group
    ) -> None:
        """Real and imaginary parts are updated as independent numbers."""
        as_real = rushlight.view_as_real
        is_complex = {
            key: isinstance(value, Tensor) and value.is_complex() for key, value in state.items()
        }
        real_state = {
            key: as_real(value) if is_complex[key] else value for key, value in state.items()
        }
        self._update(as_real(param), as_real(grad), real_state, group)
        for key, value in real_state.items():
            if not is_complex.get(key):
                state[key] = value

    def _init_state(self, param: Tensor, group: Group) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        raise NotImplementedError

    def _update(self, param: Tensor, grad: Tensor, state: dict[str, Any], group: Group) -> None:
        """Changes `param` and `state` in place; `grad` has its sign turned for `maximize`."""
        raise NotImplementedError


def new_step() -> Tensor:
    """A step count of 0, kept as a tensor as in PyTorch's files."""
    is_double = rushlight.get_default_dtype() == rushlight.float64
    return rushlight.tensor(0.0, dtype=rushlight.float64 if is_double else rushlight.float32)


def advance_step(state: dict[str, Any]) -> float:
    """Counts one step and returns the new number."""
    step = state["step"]
    if isinstance(step, Tensor):
        step += 1
        return step.item()
    state["step"] = step + 1  # loaded from a file of a very old version
    return float(state["step"])


def advance_steps(states: list[Any]) -> list[float]:
    """Counts one step for each of the states and returns the new numbers."""
    steps = [state["step"] for state in states]
    if set(map(type, steps)) != {Tensor}:
        return [advance_step(state) for state in states]
    rushlight._foreach_add_(steps, 1)
    return numbers_in(steps)


def for_each(function: Callable[..., Any], *numbers: list[float]) -> list[Any]:
    """`function` of the numbers of every parameter; called once if all have the same, as mostly."""
    if all(each.count(each[0]) == len(each) for each in numbers):
        return [function(*[each[0] for each in numbers])] * len(numbers[0])
    return list(map(function, *numbers))


def as_number(value: Any) -> float:
    """A hyperparameter given as a number or as a tensor of one element."""
    return value.item() if isinstance(value, Tensor) else value


def check_lr(lr: Any, foreach: bool | None = None, capturable: bool = False) -> None:
    """Raises ValueError for a negative learning rate or a tensor of more than one element."""
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        if lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(kind: str, value: float) -> None:
    """Raises ValueError unless `value` ≥ 0."""
    if not 0.0 <= value:
        raise ValueError(f"Invalid {kind} value: {value}")


def check_epsilon(eps: float) -> None:
    """Raises ValueError unless `eps` ≥ 0."""
    if not 0.0 <= eps:
        raise ValueError(f"Invalid epsilon value: {eps}")


def check_betas(betas: Any) -> None:
    """Raises ValueError unless both decay rates are in [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raises RuntimeError for options that exclude each other."""
    if not fused:
        return
    if differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def can_fuse(params: list[Tensor]) -> bool:
    """True if one kernel call may update all of them: float32 and float64 parameters.

    Gradients have the dtype of their parameter. Reduced precision and complex numbers take the
    formula, whose roundings are PyTorch's.
    """
    return dtypes_of(params) <= _FUSED_DTYPES


_FUSED_DTYPES = frozenset((rushlight.float32, rushlight.float64))
