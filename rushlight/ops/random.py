"""Random tensors: PyTorch's CPU stream, function by function.

Under the same `manual_seed` every function draws what PyTorch's draws. Where PyTorch's own stream
depends on the machine's vendor library (`bernoulli`, dropout, large `exponential_`), this is the
stream of its portable code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import dtypes
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.shapes import as_shape
from ..dtypes import dtype as DType
from ..types_ import Array
from .common import TensorBase
from .create import empty, empty_like
from .from_data import _finish, _host
from .memory_format import memory_axes
from .random_fill import RandomFillMethods, normal_, state_of

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "rand", "randn", "randint", "randperm", "normal", "rand_like", "randn_like", "randint_like",
    "bernoulli", "multinomial", "poisson", "RandomMethods",
]  # fmt: skip


def _float_dtype(dtype: DType, op: str) -> DType:
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"\"{op}\" not implemented for '{dtype.name.capitalize()}'; random numbers "
            "of this kind are floating point"
        )
    return dtype


# ---- new tensors ---------------------------------------------------------------------------


def rand(*size: Any, generator: Any = None, dtype: DType | None = None, device: Any = None,
         requires_grad: bool = False, out: Any = None, layout: Any = None,
         pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Uniform numbers in [0, 1).

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    d = dtypes._default_dtype if dtype is None else _float_dtype(dtype, "uniform")
    shape = as_shape(size) if size else ()
    if dtype is not None and d.is_complex:
        pairs = _host.random_uniform(state_of(generator), (*shape, 2), d.to_real().numpy)
        array = pairs.view(d.numpy)[..., 0]
    else:
        array = _host.random_uniform(state_of(generator), shape, d.numpy)
    return _stored(array, requires_grad, device, out)


def randn(*size: Any, generator: Any = None, dtype: DType | None = None, device: Any = None,
          requires_grad: bool = False, out: Any = None, layout: Any = None,
          pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Numbers of the standard normal distribution.

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randn(2)
    tensor([ 1.5410, -0.2934])
    """
    d = dtypes._default_dtype if dtype is None else _float_dtype(dtype, "normal")
    shape = as_shape(size) if size else ()
    if dtype is not None and d.is_complex:
        half = math.sqrt(0.5)
        pairs = _host.random_normal(state_of(generator), (*shape, 2), d.to_real().numpy, 0.0, half)
        array = pairs.view(d.numpy)[..., 0]
    else:
        array = _host.random_normal(state_of(generator), shape, d.numpy)
    return _stored(array, requires_grad, device, out)


def _stored(array: Array, requires_grad: bool, device: Any, out: Any) -> Any:
    if out is not None:
        from .common import write_out

        return write_out(out, wrap(array))
    if device is None and not requires_grad:
        return wrap(array)
    return _finish(array, requires_grad, device)


def randint(low: Any = 0, high: Any = None, size: Any = None, *, generator: Any = None,
            dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
            out: Any = None, layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Integers in [low, high): `randint(high, size)` or `randint(low, high, size)`.

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randint(10, (3,))
    tensor([4, 9, 3])
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    low, high = int(low), int(high)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    d = dtypes.int64 if dtype is None else dtype
    array = _host.random_integers(state_of(generator), as_shape((tuple(size),)), low, high)
    return _stored(_host.cast(array, d.numpy), requires_grad, device, out)


def randperm(n: int, *, generator: Any = None, dtype: DType | None = None, device: Any = None,
             requires_grad: bool = False, out: Any = None, layout: Any = None,
             pin_memory: bool = False) -> Tensor:  # fmt: skip
    """The numbers `0 … n - 1` in random order.

    >>> import rushlight as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.randperm(4)
    tensor([0, 1, 3, 2])
    """
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    array = _host.random_permutation(state_of(generator), n)
    d = dtypes.int64 if dtype is None else dtype
    return _stored(_host.cast(array, d.numpy), requires_grad, device, out)


def rand_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
              requires_grad: bool = False, memory_format: Any = None, layout: Any = None,
              generator: Any = None) -> Tensor:  # fmt: skip
    """Uniform numbers in the shape of `input`."""
    if memory_axes(input._array, memory_format) is not None:
        result = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
        return result.uniform_(generator=generator).requires_grad_(requires_grad)
    return rand(input._array.shape, dtype=dtype or input.dtype, device=device,
                requires_grad=requires_grad, generator=generator)  # fmt: skip


def randn_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
               requires_grad: bool = False, memory_format: Any = None, layout: Any = None,
               generator: Any = None) -> Tensor:  # fmt: skip
    """Standard normal numbers in the shape of `input`."""
    if memory_axes(input._array, memory_format) is not None:
        result = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
        return result.normal_(generator=generator).requires_grad_(requires_grad)
    return randn(input._array.shape, dtype=dtype or input.dtype, device=device,
                 requires_grad=requires_grad, generator=generator)  # fmt: skip


def randint_like(input: Tensor, low: Any, high: Any = None, *, dtype: DType | None = None,
                 device: Any = None, requires_grad: bool = False,
                 memory_format: Any = None) -> Tensor:  # fmt: skip
    """Integers in [low, high) in the shape and dtype of `input`."""
    if high is None:
        low, high = 0, low
    if memory_axes(input._array, memory_format) is not None:
        result = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
        return result.random_(low, high).requires_grad_(requires_grad)
    return randint(low, high, input._array.shape, dtype=dtype or input.dtype, device=device,
                   requires_grad=requires_grad)  # fmt: skip


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None,
           out: Any = None, dtype: DType | None = None, layout: Any = None, device: Any = None,
           pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Normal numbers with the given means and deviations (numbers with `size`, or tensors)."""
    if not isinstance(mean, TensorBase) and not isinstance(std, TensorBase):
        if std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        result = randn(*([size] if size is not None else []), generator=generator, dtype=dtype,
                       device=device)  # fmt: skip
        result = normal_(result, mean, std, generator=None, _draw=False)
    else:
        shape_of = mean if isinstance(mean, TensorBase) else std
        if isinstance(mean, TensorBase) and isinstance(std, TensorBase):
            from .expand import broadcast_shapes

            shape = broadcast_shapes(mean._array.shape, std._array.shape)
        else:
            shape = shape_of._array.shape
        if isinstance(std, TensorBase) and bool((std < 0).any()):
            raise RuntimeError("normal expects all elements of std >= 0.0")
        result = randn(shape, generator=generator, dtype=shape_of.dtype).mul_(
            std.detach() if isinstance(std, TensorBase) else std
        )
        result = result.add_(mean.detach() if isinstance(mean, TensorBase) else mean)
    if out is not None:
        from .common import write_out

        return write_out(out, result)
    return result.requires_grad_(True) if requires_grad else result


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None,
              out: Any = None) -> Tensor:  # fmt: skip
    """1 with the probability that `input` (or `p`) gives, else 0."""
    if p is not None:
        return empty(input._array.shape, dtype=input.dtype).bernoulli_(p, generator=generator)
    x = input._array
    if x.dtype.kind not in "fV":
        raise RuntimeError(f"bernoulli(): expected floating point probabilities, got {input.dtype}")
    if x.size and not bool(((x >= 0) & (x <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    k = kernels(x)
    kind = x.dtype if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else dtypes.float32.numpy
    draws = k.random_uniform(state_of(generator), x.shape, kind)
    return _stored(k.cast(k.lt(draws, k.cast(x, kind)), x.dtype), False, None, out)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *,
                generator: Any = None, out: Any = None) -> Tensor:  # fmt: skip
    """Indices drawn with the probabilities (up to a factor) of each row of `input`.

    >>> import rushlight as torch
    >>> torch.multinomial(torch.tensor([0., 1.]), 1)
    tensor([1])
    """
    p = input.detach()
    if out is not None and out.dtype is not dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype}")
    if p._array.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if p._array.dtype.kind not in "fV":
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {input.dtype}"
        )
    categories = p._array.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if bool(((p < 0) | ~p.isfinite()).any()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if bool((p.sum(-1) <= 0).any()):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement or num_samples == 1:
        q = p.new_empty(p._array.shape).exponential_(1, generator=generator)
        scores = p / q
        result = (scores.argmax(-1, keepdim=True) if num_samples == 1
                  else scores.topk(num_samples, -1).indices)  # fmt: skip
    else:
        result = _with_replacement(p, num_samples, generator)
    return _stored(result._array, False, None, out)


def _with_replacement(p: Any, count: int, generator: Any) -> Any:
    """The first category whose cumulative probability reaches a uniform draw."""
    rows = p.reshape(-1, p._array.shape[-1])
    total = rows.cumsum(-1)
    total = (total / total[:, -1:]).double()  # rounded as PyTorch's, compared as a double
    k = kernels(p._array)
    shape = (rows._array.shape[0], count)
    draws = k.random_uniform(state_of(generator), shape, dtypes.float64.numpy)
    found = k.searchsorted(total._array, draws, False)
    return wrap(found.reshape((*p._array.shape[:-1], count)))


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson numbers with the given rates, by inversion of float64 uniforms.

    PyTorch's own draws differ (it uses a rejection method); the distribution is the same.
    """
    rates = input.detach().contiguous().double()
    if bool((rates < 0).any()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    k = kernels(input._array)
    u = wrap(k.random_uniform(state_of(generator), rates._array.shape, dtypes.float64.numpy))
    count, term = rates * 0, (-rates).exp()
    total = term
    top = float(rates.max()) if rates.numel() else 0.0
    limit = int(top + 12 * math.sqrt(top + 1) + 40)
    for i in range(1, limit):
        above = u > total
        if not bool(above.any()):
            break
        count = count + above
        term = term * rates / i
        total = total + term
    return count.to(input.dtype)


class RandomMethods(RandomFillMethods):
    """Random numbers as methods of `Tensor`."""

    bernoulli = bernoulli
    multinomial = multinomial
