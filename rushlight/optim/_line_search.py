"""A line search for the strong Wolfe conditions (Nocedal & Wright, algorithms 3.5 and 3.6).

A step t along d is good enough when the loss has fallen at least c₁ t times the initial slope, and
the slope has become at most c₂ times as steep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rushlight import Tensor


class Point(NamedTuple):
    """Loss, gradient and slope along the direction at the step t."""

    t: float
    loss: float
    grad: Tensor
    slope: float


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through the losses and slopes of two points is smallest within bounds."""
    low, high = bounds if bounds is not None else (min(a.t, b.t), max(a.t, b.t))
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square**0.5
    if a.t > b.t:
        a, b = b, a
    place = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(place, low), high)


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Tensor]],
    t: float,
    direction: Tensor,
    loss: float,
    grad: Tensor,
    slope: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_ls: int = 25,
) -> tuple[float, Tensor, float, int]:
    """Returns the loss, gradient and step found, and how many evaluations it took."""
    scale = direction.abs().max().item()
    start = Point(0.0, loss, grad.clone(), slope)

    def point_at(t: float) -> Point:
        new_loss, new_grad = evaluate(t)
        return Point(t, new_loss, new_grad, new_grad.dot(direction).item())

    def fell_enough(point: Point) -> bool:
        return point.loss <= loss + c1 * point.t * slope

    def is_flat_enough(point: Point) -> bool:
        return abs(point.slope) <= -c2 * slope

    bracket, iterations = _find_bracket(point_at, t, start, fell_enough, is_flat_enough, max_ls)
    evaluations = iterations + 1
    if len(bracket) == 2:
        bracket, more = _shrink_bracket(
            point_at,
            bracket,
            fell_enough,
            is_flat_enough,
            scale,
            tolerance_change,
            max_ls - iterations,
        )
        evaluations += more
    best = min(bracket, key=lambda point: point.loss)
    return best.loss, best.grad, best.t, evaluations


def _find_bracket(
    point_at: Callable[[float], Point],
    t: float,
    start: Point,
    fell_enough: Callable[[Point], bool],
    is_flat_enough: Callable[[Point], bool],
    max_ls: int,
) -> tuple[list[Point], int]:
    """Grows the step until a good point (one entry) or an interval that holds one (two entries)."""
    previous, point = start, point_at(t)
    iterations = 0
    while iterations < max_ls:
        if not fell_enough(point) or (iterations > 1 and point.loss >= previous.loss):
            return [previous, point], iterations
        if is_flat_enough(point):
            return [point], iterations
        if point.slope >= 0:
            return [previous, point], iterations
        smallest = point.t + 0.01 * (point.t - previous.t)
        t = cubic_minimum(previous, point, bounds=(smallest, point.t * 10))
        previous, point = point, point_at(t)
        iterations += 1
    return [start, point], iterations


def _shrink_bracket(
    point_at: Callable[[float], Point],
    bracket: list[Point],
    fell_enough: Callable[[Point], bool],
    is_flat_enough: Callable[[Point], bool],
    scale: float,
    tolerance_change: float,
    budget: int,
) -> tuple[list[Point], int]:
    """Zooms into the interval; the first entry of the result is the better end."""
    low, high = sorted(bracket, key=lambda point: point.loss)
    evaluations = 0
    was_near_end = False
    for _ in range(budget):
        if abs(high.t - low.t) * scale < tolerance_change:
            break
        t, was_near_end = _next_trial(bracket, was_near_end)
        point = point_at(t)
        evaluations += 1
        if not fell_enough(point) or point.loss >= low.loss:
            bracket = [point if old is high else old for old in bracket]
            high = point
            low, high = sorted((low, high), key=lambda end: end.loss)
        else:
            is_done = is_flat_enough(point)
            if not is_done and point.slope * (high.t - low.t) >= 0:
                bracket = [low if old is high else old for old in bracket]
                high = low
            bracket = [point if old is low else old for old in bracket]
            low = point
            if is_done:
                break
    return [low, high], evaluations


def _next_trial(bracket: list[Point], was_near_end: bool) -> tuple[float, bool]:
    """The cubic's minimum, but not twice in a row within a tenth of the interval's ends."""
    low_t = min(point.t for point in bracket)
    high_t = max(point.t for point in bracket)
    t = cubic_minimum(bracket[0], bracket[1])
    margin = 0.1 * (high_t - low_t)
    if min(high_t - t, t - low_t) >= margin:
        return t, False
    if was_near_end or t >= high_t or t <= low_t:
        nearest_high = abs(t - high_t) < abs(t - low_t)
        return (high_t - margin if nearest_high else low_t + margin), False
    return t, True
