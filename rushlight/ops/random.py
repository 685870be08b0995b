"""Random tensors: PyTorch's CPU stream, function by function.

Under the same `manual_seed` every function draws what PyTorch's draws. Where PyTorch's own stream
depends on the machine's vendor library (`bernoulli`, dropout, large `exponential_`), this is the
stream of its portable code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import dtypes
from .. import random as generators
from ..autograd.inplace import bump_version, check_in_place
from ..autograd.overlap import check_repeats
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.shapes import as_shape
from ..dtypes import dtype as DType
from ..types_ import Array
from .common import TensorBase, check_tensor
from .create import empty, empty_like
from .from_data import _finish, _host
from .memory_format import memory_axes, new_in_order

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "rand", "randn", "randint", "randperm", "normal", "rand_like", "randn_like", "randint_like",
    "bernoulli", "multinomial", "poisson", "dropout", "alpha_dropout", "feature_dropout",
    "feature_alpha_dropout", "RandomMethods",
]  # fmt: skip


def _state(generator: Any) -> Any:
    return (generators.default_generator if generator is None else generator).state


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
        pairs = _host.random_uniform(_state(generator), (*shape, 2), d.to_real().numpy)
        array = pairs.view(d.numpy)[..., 0]
    else:
        array = _host.random_uniform(_state(generator), shape, d.numpy)
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
        pairs = _host.random_normal(_state(generator), (*shape, 2), d.to_real().numpy, 0.0, half)
        array = pairs.view(d.numpy)[..., 0]
    else:
        array = _host.random_normal(_state(generator), shape, d.numpy)
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
    array = _host.random_integers(_state(generator), as_shape((tuple(size),)), low, high)
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
    array = _host.random_permutation(_state(generator), n)
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
    draws = k.random_uniform(_state(generator), x.shape, kind)
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
    draws = k.random_uniform(_state(generator), shape, dtypes.float64.numpy)
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
    u = wrap(k.random_uniform(_state(generator), rates._array.shape, dtypes.float64.numpy))
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


# ---- dropout -------------------------------------------------------------------------------


@primitive(name="NativeDropout")
def _scale_by_mask(x: Array, mask: Array, *, scale: float) -> Array:
    k = kernels(x)
    return k.mul(k.mul(x, mask), scale)


@_scale_by_mask.derivative("x")
def _scale_by_mask_dx(grad: Tensor, mask: Tensor, scale: float) -> Tensor:
    return _scale_by_mask(grad, mask, scale=scale)


def _keep_mask(like: Any, shape: Any, p: float) -> Any:
    """1 with probability `1 - p`, else 0, in the dtype of `like`; of its shape, also its layout."""
    array, state = like._array, generators.default_generator.state
    axes = memory_axes(array) if tuple(shape) == array.shape else None

    def draw(sizes: Sequence[int]) -> Array:
        return kernels(array).random_bernoulli(state, sizes, 1 - p, array.dtype)

    return wrap(new_in_order(draw, shape, axes))


def _check_p(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes each element with probability `p` and scales the others by `1 / (1 - p)`.

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout(torch.ones(3), p=0.0)
    tensor([1., 1., 1.])
    """
    check_tensor(input, "dropout")
    _check_p(p)
    result = _dropped(input, input._array.shape, p, training)
    return _in_place_if(input, result, inplace, "dropout_")


def _dropped(input: Any, mask_shape: Any, p: float, training: bool) -> Any:
    if not training or p == 0.0 or input._array.size == 0:
        return input
    if p == 1.0:
        return input * 0
    mask = _keep_mask(input, mask_shape, p)
    if tuple(mask_shape) != input._array.shape:
        return input * (mask * (1 / (1 - p)))
    return _scale_by_mask(input, mask, scale=1 / (1 - p))


def _in_place_if(input: Any, result: Any, inplace: bool, name: str) -> Any:
    if not inplace or result is input:
        return result
    from ..autograd.inplace import overwrite

    check_in_place(input)
    return overwrite(input, result, name)


def feature_dropout(input: Tensor, p: float = 0.5, training: bool = True,
                    inplace: bool = False) -> Tensor:  # fmt: skip
    """As `dropout`, of whole channels (dim 1) of each sample."""
    _check_p(p)
    if input._array.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = input._array.shape[:2] + (1,) * (input._array.ndim - 2)
    return _in_place_if(input, _dropped(input, shape, p, training), inplace, "feature_dropout_")


_ALPHA = 1.7580993408473766  # -scale · alpha of selu


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False,
                  inplace: bool = False) -> Tensor:  # fmt: skip
    """Dropout that keeps mean and variance of inputs to `selu` (Klambauer et al., 2017)."""
    _check_p(p)
    return _in_place_if(input, _alpha_dropped(input, input._array.shape, p, training), inplace,
                        "alpha_dropout_")  # fmt: skip


def _alpha_dropped(input: Any, shape: Any, p: float, training: bool) -> Any:
    if not training or p == 0.0 or input._array.size == 0:
        return input
    if p == 1.0:
        return input * 0
    mask = _keep_mask(input, shape, p)
    a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    b = (mask - 1) * (_ALPHA * a) + _ALPHA * a * p
    return input * (mask * a) + b


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False,
                          inplace: bool = False) -> Tensor:  # fmt: skip
    """As `alpha_dropout`, of whole channels (dim 1) of each sample."""
    _check_p(p)
    shape = input._array.shape[:2] + (1,) * (input._array.ndim - 2)
    return _in_place_if(input, _alpha_dropped(input, shape, p, training), inplace,
                        "feature_alpha_dropout_")  # fmt: skip


# ---- filling a tensor ----------------------------------------------------------------------


def _fill(self: Any, values: Array, name: str) -> Any:
    """Writes `values`, an array of the shape of `_in_memory_order`, over the tensor."""
    check_in_place(self)
    check_repeats(self, name)
    target = _in_memory_order(self._array)
    target[...] = values if values.dtype == target.dtype else kernels(values).cast(
        values, target.dtype)  # fmt: skip
    bump_version(self, name)
    return self


def _in_memory_order(array: Array) -> Array:
    """A view with the axes in the order in which PyTorch fills a tensor: as memory has them."""
    axes = memory_axes(array)
    return array if axes is None else array.transpose(axes)


def _uniforms(self: Any, generator: Any) -> Array:
    shape = _in_memory_order(self._array).shape
    return kernels(self._array).random_uniform(_state(generator), shape, dtypes.float64.numpy)


def _normals_in_pairs(array: Array, mean: float, std: float, generator: Any) -> Array:
    shape = _in_memory_order(array).shape
    numbers = kernels(array).random_normal_pairs(_state(generator), array.size, mean, std)
    return numbers.reshape(shape)


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None,
            _draw: bool = True) -> Any:  # fmt: skip
    """Fills this tensor with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if self._array.dtype.kind not in "fcV":
        raise RuntimeError(f'"normal_kernel_cpu" not implemented for {self.dtype}')
    if not _draw:
        return self.mul_(std).add_(mean) if (mean, std) != (0.0, 1.0) else self
    array = self._array
    if array.flags.c_contiguous or array.dtype.kind == "c":
        shape = _in_memory_order(array).shape
        values = kernels(array).random_normal(_state(generator), shape, array.dtype, mean, std)
    else:  # PyTorch makes blocks of normal numbers for contiguous memory alone
        values = _normals_in_pairs(array, mean, std, generator)
    return _fill(self, values, "normal_")


class RandomMethods:
    """Random filling as methods of `Tensor`."""

    bernoulli = bernoulli
    multinomial = multinomial
    normal_ = normal_

    def uniform_(self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None,
                 **kwargs: Any) -> Any:  # fmt: skip
        """Fills this tensor with uniform numbers in [from, to)."""
        low = kwargs.pop("from", from_)
        if kwargs:
            raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if low > to:
            raise RuntimeError(
                f"uniform_ expects to return a [from, to) range, but found from={low} > to={to}"
            )
        k, array = kernels(self._array), self._array
        if array.dtype.kind not in "fcV":
            raise RuntimeError(f'"check_uniform_bounds" not implemented for {self.dtype}')
        shape = _in_memory_order(array).shape
        values = k.random_uniform(_state(generator), shape, array.dtype)
        if (low, to) != (0.0, 1.0):
            number = values.dtype.type
            values = k.add(k.mul(values, float(number(to) - number(low))), float(number(low)))
        return _fill(self, values, "uniform_")

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
        """Fills this tensor with 1 (probability `p`) and 0."""
        if isinstance(p, TensorBase):
            p = p.expand(self._array.shape)
            axes = memory_axes(self._array)
            p = p if axes is None else p.permute(axes)
            return _fill(self, bernoulli(p, generator=generator)._array, "bernoulli_")
        if not 0 <= p <= 1:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        k = kernels(self._array)
        dtype = self._array.dtype if self._array.dtype.kind in "fV" else dtypes.float32.numpy
        shape = _in_memory_order(self._array).shape
        return _fill(self, k.random_bernoulli(_state(generator), shape, p, dtype), "bernoulli_")

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
        """Fills this tensor with exponential numbers of rate `lambd`."""
        if lambd <= 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        k, u = kernels(self._array), _uniforms(self, generator)
        values = k.mul(k.log1p(k.neg(u)), -1.0 / lambd)
        return _fill(self, values, "exponential_")

    def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
        """Fills this tensor with the number of trials up to the first success."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        k, u = kernels(self._array), _uniforms(self, generator)
        return _fill(self, k.ceil(k.div(k.log(u), math.log1p(-p))), "geometric_")

    def cauchy_(
        self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
    ) -> Any:
        """Fills this tensor with Cauchy numbers."""
        if sigma <= 0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        k, u = kernels(self._array), _uniforms(self, generator)
        values = k.add(k.mul(k.tan(k.mul(k.sub(u, 0.5), math.pi)), sigma), median)
        return _fill(self, values, "cauchy_")

    def log_normal_(
        self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
    ) -> Any:
        """Fills this tensor with exponentials of normal numbers."""
        if std <= 0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        numbers = _normals_in_pairs(self._array, mean, std, generator)
        return _fill(self, kernels(numbers).exp(numbers), "log_normal_")

    def random_(self: Any, from_: Any = None, to: Any = None, *, generator: Any = None,
                **kwargs: Any) -> Any:  # fmt: skip
        """Fills this tensor with integers in [from, to), or all that its dtype holds exactly."""
        from_ = kwargs.pop("from", from_)
        if from_ is not None and to is None:
            from_, to = 0, from_
        k, array = kernels(self._array), self._array
        state, shape = _state(generator), _in_memory_order(array).shape
        if to is not None:
            if from_ >= to:
                raise RuntimeError(
                    f"random_ expects 'from' to be less than 'to', but got from={from_} >= to={to}"
                )
            return _fill(self, k.random_integers(state, shape, from_, to), "random_")
        bits = {"b": 1, "u": array.itemsize * 8, "i": array.itemsize * 8 - 1}.get(array.dtype.kind)
        if bits is None:
            exact = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[self.dtype.name]
            span = (1 << exact) + 1
        else:
            span = 1 << bits
        if span == 1 << 63:
            words = k.random_uint64(state, array.size).reshape(shape)
            values = (words & ((1 << 63) - 1)).astype("int64")
        else:
            values = k.random_integers(state, shape, 0, span)
        return _fill(self, values, "random_")
