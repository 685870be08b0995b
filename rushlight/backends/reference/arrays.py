"""Reference kernels that make, arrange and index arrays: creation, joining, gathering, sorting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .base import Array, KernelBase
from .windows import inverse, is_channels_last, laid_out_like

__all__ = ["ArrayKernels"]


class ArrayKernels(KernelBase):
    """Creation, layout, indexing and order."""

    # ---- creation --------------------------------------------------------------------------

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        return self.xp.empty(shape, dtype)

    def zeros(self, shape: Sequence[int], dtype: Any) -> Array:
        return self.xp.zeros(shape, dtype)

    def full(self, shape: Sequence[int], value: Any, dtype: Any) -> Array:
        return self.xp.full(shape, value, dtype)

    def fill(self, x: Array, value: Any) -> None:
        """Writes a number into all elements of `x`."""
        x[...] = value

    def arange(self, start: Any, step: Any, count: int, dtype: Any) -> Array:
        """`start + i · step`, computed in double (or int64) and rounded once."""
        if start == 0 and step == 1 and dtype.kind in "iu":
            return self.xp.arange(count, dtype=dtype)
        exact = self.xp.int64 if dtype.kind in "iu" else self.xp.float64
        values = self.xp.arange(count, dtype=exact)
        return self._as_type(values * exact(step) + exact(start), dtype)

    def linspace(self, start: Any, stop: Any, count: int, dtype: Any) -> Array:
        """Evenly spaced numbers; the upper half counts back from `stop`, so both ends are exact."""
        if count == 1:
            return self._as_type(self.xp.asarray([start]), dtype)
        exact = dtype.type if dtype.kind in "f" and dtype.itemsize >= 4 else self.xp.float64
        step = (exact(stop) - exact(start)) / exact(max(count - 1, 1))
        i = self.xp.arange(count)
        low = exact(start) + step * i.astype(exact)
        high = exact(stop) - step * (count - 1 - i).astype(exact)
        return self._as_type(self.xp.where(i < count // 2, low, high), dtype)

    def eye(self, rows: int, columns: int, dtype: Any) -> Array:
        return self.xp.eye(rows, columns, dtype=dtype)

    def tri_mask(self, rows: int, columns: int, diagonal: int) -> Array:
        """True on and below the given diagonal."""
        xp = self.xp
        return xp.arange(columns) <= xp.arange(rows)[:, None] + diagonal

    # ---- layout ----------------------------------------------------------------------------

    def copy(self, x: Array) -> Array:
        """A C-contiguous copy."""
        return x.copy("C")

    def contiguous(self, x: Array) -> Array:
        return x if x.flags.c_contiguous else x.copy("C")

    def as_strided(self, x: Array, shape: Sequence[int], strides: Sequence[int]) -> Array:
        """A view with other strides (in bytes), starting where `x` starts."""
        return self.xp.lib.stride_tricks.as_strided(x, shape, strides)

    def broadcast_to(self, x: Array, shape: Sequence[int]) -> Array:
        """A view with stride 0 along the new and the size-1 axes; writable, as PyTorch's is."""
        lead = len(shape) - x.ndim
        strides = [0] * lead + [
            0 if n == 1 and m != 1 else s for n, m, s in zip(x.shape, shape[lead:], x.strides)
        ]
        return self.xp.lib.stride_tricks.as_strided(x, shape, strides)

    def view(self, x: Array, shape: Sequence[int]) -> Array:
        """A view of another shape; a copy if there is none."""
        return x.reshape(shape)

    def transpose(self, x: Array) -> Array:
        """A view with the axes in reverse order."""
        return x.T

    def select(self, x: Array, axis: int, index: int) -> Array:
        """The part at `index` of `axis`, without that axis; a view."""
        return x[(slice(None),) * axis + (index, ...)]

    def slice(self, x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
        """The parts from `start` to `stop` of `axis`; a view."""
        return x[(slice(None),) * axis + (slice(start, stop, step),)]

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """C-contiguous, or channels last if all arrays are."""
        if all(is_channels_last(x) for x in arrays):
            order = (0, *range(2, arrays[0].ndim), 1)
            moved = [x.transpose(order) for x in arrays]
            return self.concatenate(moved, order.index(axis)).transpose(inverse(order))
        shape = list(arrays[0].shape)
        shape[axis] = sum(x.shape[axis] for x in arrays)
        return self.xp.concatenate(arrays, axis, out=self.xp.empty(shape, arrays[0].dtype))

    def stack(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        """C-contiguous."""
        shape = list(arrays[0].shape)
        shape.insert(axis, len(arrays))
        return self.xp.stack(arrays, axis, out=self.xp.empty(shape, arrays[0].dtype))

    def flip(self, x: Array, axes: Sequence[int]) -> Array:
        return self.xp.flip(x, axes).copy("K")

    def roll(self, x: Array, shifts: Any, axes: Any) -> Array:
        """C-contiguous, or channels last if `x` is."""
        return self.xp.roll(x if is_channels_last(x) else self.contiguous(x), shifts, axes)

    def tile(self, x: Array, repeats: Sequence[int]) -> Array:
        return self.xp.tile(x, repeats)

    def repeat(self, x: Array, repeats: Any, axis: int) -> Array:
        return self.xp.repeat(x, repeats, axis)

    def pad(self, x: Array, widths: Sequence[tuple[int, int]], mode: str, value: Any) -> Array:
        """Pads each axis by its `(before, after)` widths; `constant`, `reflect`, `edge`, `wrap`."""
        values = {"constant_values": value} if mode == "constant" else {}
        return laid_out_like(self.xp, self.xp.pad(x, widths, mode, **values), x)

    # ---- indexing --------------------------------------------------------------------------
    # `checked` says that all indices are known to lie in [0, size): nobody needs to look again.

    def within(self, indices: Array, low: int, high: int) -> bool:
        """Whether `low <= i < high` for all `indices`."""
        return not indices.size or bool(indices.min() >= low and indices.max() < high)

    def take(self, x: Array, indices: Array, axis: int, checked: bool = False) -> Array:
        return self.xp.take(x, indices, axis)

    def take_along_axis(self, x: Array, indices: Array, axis: int, checked: bool = False) -> Array:
        """`out[i][j] = x[indices[i][j]][j]`; `indices` may be smaller than `x` in other axes."""
        return x[self._along(indices, axis)]

    def put_along_axis(
        self, x: Array, indices: Array, values: Any, axis: int, checked: bool = False
    ) -> None:
        """Writes `values` at `indices` along `axis` of `x`."""
        x[self._along(indices, axis)] = values

    def add_along_axis(
        self, x: Array, indices: Array, values: Any, axis: int, checked: bool = False
    ) -> None:
        """Adds `values` at `indices` along `axis` of `x`; repeated indices add up."""
        self.index_add(x, self._along(indices, axis), values)

    def reduce_along_axis(
        self, x: Array, indices: Array, values: Array, axis: int, reduce: str
    ) -> None:
        """Reduces `values` into `x` at `indices` along `axis`: `prod`, `amax` or `amin`."""
        function = {"prod": "multiply", "amax": "maximum", "amin": "minimum"}[reduce]
        wide, source = self.widen(x), self.widen(values)
        with self.quiet():
            getattr(self.xp, function).at(wide, self._along(indices, axis), source)
        if wide is not x:
            x[...] = wide.astype(x.dtype)

    def index_get(self, x: Array, index: Any) -> Array:
        """`x[index]`, copied."""
        return x[index]

    def index_put(self, x: Array, index: Any, values: Any, checked: bool = False) -> None:
        """`x[index] = values` in place; of values for one element the last one stays."""
        x[index] = values

    def index_add(self, x: Array, index: Any, values: Any, checked: bool = False) -> None:
        """`x[index] += values` with repeated indices adding up, in place."""
        if self.is_half(x.dtype):
            wide = x.astype(self.xp.float32)
            self.xp.add.at(wide, index, self.xp.asarray(values).astype(self.xp.float32))
            x[...] = wide.astype(x.dtype)
        else:
            self.xp.add.at(x, index, values)

    def _along(self, indices: Array, axis: int) -> tuple[Array, ...]:
        """Open grids over all axes but `axis`, where `indices` stand."""
        grids = []
        for i, size in enumerate(indices.shape):
            if i == axis:
                grids.append(indices)
            else:
                shape = [1] * indices.ndim
                shape[i] = size
                grids.append(self.xp.arange(size).reshape(shape))
        return tuple(grids)

    def nonzero(self, x: Array) -> Array:
        """The indices of the nonzero elements, `(count, ndim)` int64, in C order."""
        if x.ndim == 0:
            return self.xp.zeros((int(bool(x)), 0), self.xp.int64)
        return self.xp.stack(self.xp.nonzero(x), axis=1).astype(self.xp.int64)

    def masked_select(self, x: Array, mask: Array) -> Array:
        """The elements of `x` where `mask` holds; its slices, if the mask has fewer axes."""
        return x[mask]

    def masked_fill(self, x: Array, mask: Array, value: Any, out: Array | None = None) -> Array:
        """`value` where `mask` holds, else `x`."""
        value = self._as_type(self.xp.asarray(value), x.dtype)
        if out is not None and out is x:  # its elements may share memory: the others stay
            out[self.xp.broadcast_to(mask, x.shape)] = value
            return out
        return self.finish(self.xp.where(mask, value, x), x.dtype, out, (x, mask))

    # ---- order -----------------------------------------------------------------------------

    def sort(self, x: Array, axis: int, descending: bool) -> tuple[Array, Array]:
        """Stable sort along `axis`: `(values, indices)`; NaN counts as the largest."""
        indices = self._argsort(x, axis, descending)
        return self.take_along_axis(x, indices, axis), indices

    def topk(self, x: Array, k: int, axis: int, largest: bool) -> tuple[Array, Array]:
        """The first `k` of `sort` along `axis`: `(values, indices)`."""
        head = (slice(None),) * axis + (slice(0, k),)
        values, indices = self.sort(x, axis, largest)
        return values[head].copy("C"), indices[head].copy("C")

    def _argsort(self, x: Array, axis: int, descending: bool) -> Array:
        xp = self.xp
        keys = x.astype(xp.float32) if self.is_half(x.dtype) else x
        if not descending:
            return xp.argsort(keys, axis=axis, kind="stable").astype(xp.int64)
        flipped = xp.flip(keys, axis)
        order = xp.flip(xp.argsort(flipped, axis=axis, kind="stable"), axis)
        return (x.shape[axis] - 1 - order).astype(xp.int64)

    def searchsorted(self, sequence: Array, values: Array, right: bool) -> Array:
        """Where `values` would be inserted into the last axis of `sequence`, int64."""
        xp = self.xp
        side = "right" if right else "left"
        if sequence.ndim == 1:
            return xp.asarray(xp.searchsorted(sequence, values, side)).astype(xp.int64)
        if not values.size:
            return xp.zeros(values.shape, xp.int64)
        rows = sequence.reshape(math.prod(sequence.shape[:-1]), sequence.shape[-1])
        wanted = values.reshape(rows.shape[0], -1)
        found = [xp.searchsorted(row, v, side) for row, v in zip(rows, wanted)]
        return xp.stack(found).reshape(values.shape).astype(xp.int64)

    def unique(self, x: Array) -> tuple[Array, Array, Array]:
        """Of the flattened input: sorted distinct values, inverse indices, counts."""
        values, inverse, counts = self.xp.unique(
            x.reshape(-1), return_inverse=True, return_counts=True
        )
        int64 = self.xp.int64
        return values, inverse.reshape(x.shape).astype(int64), counts.astype(int64)

    def unique_rows(self, x: Array) -> tuple[Array, Array, Array]:
        """Distinct rows (along axis 0), inverse indices, counts."""
        values, inverse, counts = self.xp.unique(x, axis=0, return_inverse=True, return_counts=True)
        return values, inverse.reshape(-1).astype(self.xp.int64), counts.astype(self.xp.int64)

    def bincount(self, x: Array, weights: Array | None, minlength: int) -> Array:
        return self.xp.bincount(x, weights, minlength)

    # ---- numbers ---------------------------------------------------------------------------

    def nan_to_num(
        self, x: Array, nan: float, posinf: Any, neginf: Any, out: Array | None = None
    ) -> Array:
        """NaN becomes ``nan``; infinities the given numbers, or (None) the limits of the dtype."""
        if self.is_half(x.dtype):
            zero, infinity = (self.xp.asarray(v, dtype=x.dtype) for v in (0.0, math.inf))
            most = float(self.xp.nextafter(infinity, zero))
            posinf, neginf = most if posinf is None else posinf, -most if neginf is None else neginf
        result = self.xp.nan_to_num(self.widen(x), nan=nan, posinf=posinf, neginf=neginf)
        return self.finish(result, x.dtype, out, (x,))

    def angle(self, x: Array) -> Array:
        """The angle of complex numbers; of real ones 0 or π (NaN stays NaN)."""
        xp = self.xp
        if x.dtype.kind == "c":
            return xp.angle(x).astype(x.real.dtype)
        return self._as_type(xp.where(x < 0, xp.pi, xp.where(x != x, x, 0.0)), x.dtype)

    def _as_type(self, x: Array, dtype: Any) -> Array:
        return x if x.dtype == dtype else x.astype(dtype)
