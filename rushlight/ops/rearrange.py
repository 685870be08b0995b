"""Elements in other places: flipping, rolling, repeating, diagonals, grids."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd.grad_mode import state
from ..autograd.inplace import bump_version, check_in_place
from ..autograd.primitive import primitive
from ..autograd.variable import wrap
from ..backends import kernels
from ..backends.shapes import as_shape
from ..dtypes import int64
from ..types_ import Array, Shape
from .common import check_tensor, wrap_dim, write_out
from .expand import expand
from .parts import _slice_backward, atleast_1d, select, stack
from .shape import _named_sizes, reshape, squeeze, unsqueeze, view
from .transpose import t, transpose

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = [
    "flip", "fliplr", "flipud", "roll", "rot90", "tile", "repeat_interleave", "tril", "triu",
    "diagonal", "diag", "diag_embed", "meshgrid", "cartesian_prod", "RearrangeMethods",
]  # fmt: skip


# ---- rearranging with a copy ---------------------------------------------------------------


@primitive(name="Flip", kernel="flip")
def _flip(x: Array, *, dims: tuple[int, ...]) -> Array:
    return kernels(x).flip(x, dims)


@_flip.derivative("x")
def _flip_dx(grad: Tensor, dims: tuple[int, ...]) -> Tensor:
    return _flip(grad, dims=dims)


def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The order reversed along `dims`; a copy.

    >>> import rushlight as torch
    >>> torch.flip(torch.arange(3), (0,))
    tensor([2, 1, 0])
    """
    dims = _named_sizes("flip", "dims", dims, named)
    wrapped = tuple(wrap_dim(d, input._array.ndim) for d in as_shape(dims))
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError("dim appears multiple times in the list of dims")
    return _flip(input, dims=wrapped if input._array.ndim else ())


def fliplr(input: Tensor) -> Tensor:
    """Reversed along dim 1."""
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Reversed along dim 0."""
    if input._array.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@primitive(name="Roll", kernel="roll")
def _roll(x: Array, *, shifts: Any, dims: Any) -> Array:
    return kernels(x).roll(x, shifts, dims)


@_roll.derivative("x")
def _roll_dx(grad: Tensor, shifts: Any, dims: Any) -> Tensor:
    return _roll(grad, shifts=tuple(-s for s in shifts) if dims else -shifts, dims=dims)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along `dims`, those that fall off coming back on the other side.

    >>> import rushlight as torch
    >>> torch.roll(torch.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return _roll(input, shifts=shifts[0], dims=None)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(dims) != len(shifts):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    return _roll(input, shifts=shifts, dims=tuple(wrap_dim(d, input._array.ndim) for d in dims))


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Rotated by `k` quarter turns from the first of `dims` towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    a, b = (wrap_dim(d, input._array.ndim) for d in dims)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {a} and dim1 = {b}"
        )
    turns = k % 4
    if turns == 0:
        return input.clone()
    if turns == 2:
        return flip(input, a, b)
    if turns == 1:
        return transpose(flip(input, b), a, b).contiguous()
    return flip(transpose(input, a, b), b)


def repeat(input: Tensor, *repeats: Any, **named: Any) -> Tensor:
    """Copies laid side by side, `repeats[i]` of them along dim i.

    >>> import rushlight as torch
    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = as_shape(_named_sizes("repeat", "repeats", repeats, named))
    if len(counts) < input._array.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    return _repeat(input, repeats=counts)


@primitive(name="Repeat", kernel="tile")
def _repeat(x: Array, *, repeats: tuple[int, ...]) -> Array:
    return kernels(x).tile(x, repeats)


@_repeat.derivative("x")
def _repeat_dx(grad: Tensor, x_shape: Shape, repeats: tuple[int, ...]) -> Tensor:
    lead = len(repeats) - len(x_shape)
    shape: list[int] = []
    for n, size in zip(repeats, (1,) * lead + tuple(x_shape)):
        shape += [n, size]
    folded = reshape(grad, shape).sum(list(range(0, len(shape), 2))) if shape else grad
    return reshape(folded, x_shape)


def tile(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """As `repeat`, but missing counts are 1."""
    dims = _named_sizes("tile", "dims", dims, named)
    counts = as_shape(dims)
    missing = input._array.ndim - len(counts)
    return repeat(input, (1,) * max(missing, 0) + counts)


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *,
                      output_size: int | None = None) -> Tensor:  # fmt: skip
    """Each element repeated in place: `[1, 2]` twice is `[1, 1, 2, 2]`.

    >>> import rushlight as torch
    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:  # of counts alone: the indices that they repeat
        input, repeats, positions = None, input, None  # type: ignore[assignment]
        k = kernels(repeats._array)
        positions = k.arange(0, 1, repeats._array.size, repeats._array.dtype)
        return wrap(k.repeat(positions, repeats._array, 0))
    if dim is None:
        input, dim = reshape(input, -1), 0
    d = wrap_dim(dim, input._array.ndim)
    k = kernels(input._array)
    size = input._array.shape[d]
    counts = repeats if isinstance(repeats, int) else repeats._array
    indices = wrap(k.repeat(k.arange(0, 1, size, int64.numpy), counts, 0))
    return input.index_select(d, indices)


@primitive(name="Tril")
def _tril(x: Array, *, diagonal: int) -> Array:
    k = kernels(x)
    mask = k.tri_mask(x.shape[-2], x.shape[-1], diagonal)
    return k.where(mask, k.contiguous(x), k.full((), 0, x.dtype))


@primitive(name="Triu")
def _triu(x: Array, *, diagonal: int) -> Array:
    k = kernels(x)
    mask = k.tri_mask(x.shape[-2], x.shape[-1], diagonal - 1)
    return k.where(mask, k.full((), 0, x.dtype), k.contiguous(x))


@_tril.derivative("x")
def _tril_dx(grad: Tensor, diagonal: int) -> Tensor:
    return _tril(grad, diagonal=diagonal)


@_triu.derivative("x")
def _triu_dx(grad: Tensor, diagonal: int) -> Tensor:
    return _triu(grad, diagonal=diagonal)


def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The elements on and below a diagonal, 0 above it.

    >>> import rushlight as torch
    >>> torch.tril(torch.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    _check_matrix("tril", input)
    result = _tril(input, diagonal=diagonal)
    return result if out is None else write_out(out, result, "tril")


def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The elements on and above a diagonal, 0 below it."""
    _check_matrix("triu", input)
    result = _triu(input, diagonal=diagonal)
    return result if out is None else write_out(out, result, "triu")


def _check_matrix(op: str, input: Tensor) -> None:
    check_tensor(input, op)
    if input._array.ndim < 2:
        raise RuntimeError(f"{op}: input tensor must have at least 2 dimensions")


# ---- diagonals -----------------------------------------------------------------------------


@primitive(name="Diagonal", view=True)
def _diagonal(x: Array, *, offset: int, dim1: int, dim2: int) -> Array:
    strides, shape = list(x.strides), list(x.shape)
    rows, columns = shape[dim1], shape[dim2]
    length = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    lead = [slice(None)] * x.ndim
    lead[dim1 if offset < 0 else dim2] = slice(
        min(abs(offset), shape[dim1 if offset < 0 else dim2]), None
    )
    step = strides[dim1] + strides[dim2]
    for d in sorted((dim1, dim2), reverse=True):
        del strides[d], shape[d]
    return kernels(x).as_strided(x[tuple(lead)], (*shape, length), (*strides, step))


@_diagonal.derivative("x")
def _diagonal_dx(grad: Tensor, x_shape: Shape, offset: int, dim1: int, dim2: int) -> Tensor:
    return _diagonal_backward(grad, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2)


@primitive(name="DiagonalBackward")
def _diagonal_backward(g: Array, *, shape: Shape, offset: int, dim1: int, dim2: int) -> Array:
    """Zeros of `shape` with `g` on the diagonal."""
    result = kernels(g).zeros(shape, g.dtype)
    _diagonal.forward(result, offset=offset, dim1=dim1, dim2=dim2)[...] = g
    return result


@_diagonal_backward.derivative("g")
def _diagonal_backward_dg(grad: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
    return _diagonal(grad, offset=offset, dim1=dim1, dim2=dim2)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dims as the last dim; a view.

    >>> import rushlight as torch
    >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    ndim = input._array.ndim
    d1, d2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diagonal(input, offset=offset, dim1=d1, dim2=d2)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dim of `input` on their diagonal."""
    ndim = input._array.ndim + 1
    d1, d2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input._array.shape[-1] + abs(offset)
    shape = list(input._array.shape[:-1])
    for d in sorted((d1, d2)):
        shape.insert(d, size)
    return _diagonal_backward(input, shape=tuple(shape), offset=offset, dim1=d1, dim2=d2)


def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Of a vector the matrix with it on the diagonal; of a matrix its diagonal, copied.

    >>> import rushlight as torch
    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input._array.ndim == 1:
        result = diag_embed(input, diagonal)
    elif input._array.ndim == 2:
        result = _diagonal(input, offset=diagonal, dim1=0, dim2=1).clone()
    else:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    return result if out is None else write_out(out, result, "diag")


# ---- grids ---------------------------------------------------------------------------------


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates from vectors; `indexing="xy"` exchanges the first two dims.

    >>> import rushlight as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4]), indexing="ij")[0]
    tensor([[1, 1],
            [2, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    for x in tensors:
        if x._array.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x}"
            )
    vectors = [atleast_1d(x) for x in tensors]
    shape = [v._array.shape[0] for v in vectors]
    grids = []
    for i, v in enumerate(vectors):
        flat = [1] * len(shape)
        flat[i] = shape[i]
        grids.append(expand(reshape(v, flat), shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the elements of several vectors, one a row."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, -1) for g in meshgrid(*tensors, indexing="ij")], 1)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.view(other.shape)`."""
    return view(input, other._array.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`input.reshape(other.shape)`."""
    return reshape(input, other._array.shape)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` along a dim, `step` apart, as a new last dim; a view."""
    array = input._array
    d = wrap_dim(dimension, array.ndim)
    total = array.shape[d] if array.ndim else 1
    if size > total:
        raise RuntimeError(
            f"maximum size for tensor at dimension {d} is {total} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return _unfold(input, dim=d, size=size, step=step)


@primitive(name="Unfold", view=True)
def _unfold(x: Array, *, dim: int, size: int, step: int) -> Array:
    if x.ndim == 0:
        return x.reshape(1)[:size]
    count = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return kernels(x).as_strided(x, shape, strides)


@_unfold.derivative("x")
def _unfold_dx(grad: Tensor, x_shape: Shape, dim: int, size: int, step: int) -> Tensor:
    if not x_shape:
        return reshape(grad, ()) if size else grad.new_zeros(())
    result = grad.new_zeros(x_shape)
    count = (x_shape[dim] - size) // step + 1
    for i in range(size):
        part = select(grad, -1, i)
        placed = _slice_backward(part, shape=x_shape, dim=dim, start=i,
                                 stop=i + (count - 1) * step + 1, step=step)  # fmt: skip
        result = result + placed
    return result


def _view_in_place(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """The form of a view function that changes the tensor itself: it becomes its own view.

    The tensor takes over the array and the history of the view; its memory stays as it is.
    """
    name = function.__name__ + "_"

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_in_place(self)
        storage = self.storage_record
        before = self.__copy__()
        result = function(before, *args, **kwargs)
        self._array = result._array
        if result._requires_grad and state.enabled:
            self._requires_grad, self._grad_fn = True, result._grad_fn
            self._output_nr = result._output_nr
        self._storage = storage
        bump_version(self, name)
        self._view_version = self._version
        return self

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return method


class RearrangeMethods:
    """Elements in other places: flipping, rolling, repeating, diagonals, grids; methods."""

    squeeze_ = _view_in_place(squeeze)
    unsqueeze_ = _view_in_place(unsqueeze)
    transpose_ = swapaxes_ = swapdims_ = _view_in_place(transpose)
    t_ = _view_in_place(t)
    view_as = view_as
    reshape_as = reshape_as
    flip = flip
    fliplr = fliplr
    flipud = flipud
    roll = roll
    rot90 = rot90
    repeat = repeat
    tile = tile
    repeat_interleave = repeat_interleave
    tril = tril
    triu = triu
    diagonal = diagonal
    diag = diag
    diag_embed = diag_embed
    unfold = unfold
