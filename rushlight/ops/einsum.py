"""Products over any dims: `einsum`, `tensordot`, `kron`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .common import write_out
from .matmul import bmm, mm
from .shape import reshape

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["inner", "einsum", "tensordot", "kron", "chain_matmul", "EinsumMethods"]


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of products over the last dim of both."""
    if input._array.ndim == 0 or other._array.ndim == 0:
        result = input * other
    else:
        if input._array.shape[-1] != other._array.shape[-1]:
            raise RuntimeError(
                f"inner() the last dimension must match on both input tensors but got shapes "
                f"{list(input._array.shape)} and {list(other._array.shape)}"
            )
        result = tensordot(input, other, dims=([-1], [-1]))
    return result if out is None else write_out(out, result, "inner")


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, *, out: Tensor | None = None) -> Tensor:
    """Products summed over several dims: the last `dims` of `a` and the first of `b`, or two lists.

    >>> import rushlight as torch
    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=1).shape
    torch.Size([2, 4])
    """
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        left, right = list(range(a._array.ndim - dims, a._array.ndim)), list(range(dims))
    else:
        left, right = ([int(d) for d in side] for side in dims)
    left = [d % a._array.ndim for d in left]
    right = [d % b._array.ndim for d in right]
    for i, j in zip(left, right):
        n, m = a._array.shape[i], b._array.shape[j]
        if n != m and n == 1:  # a size of 1 stands for any: the other operand is summed first
            b = b.sum(j, keepdim=True)
        elif n != m and m == 1:
            a = a.sum(i, keepdim=True)
        elif n != m:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._array.shape[i]} in "
                f"dim {i} and second has size {b._array.shape[j]} in dim {j}"
            )
    rows = [d for d in range(a._array.ndim) if d not in left]
    columns = [d for d in range(b._array.ndim) if d not in right]
    n, m = [a._array.shape[d] for d in rows], [b._array.shape[d] for d in columns]
    size = math.prod(a._array.shape[d] for d in left)
    x = reshape(a.permute(*rows, *left) if a._array.ndim else a, math.prod(n), size)
    y = reshape(b.permute(*right, *columns) if b._array.ndim else b, size, math.prod(m))
    result = reshape(mm(x, y), n + m)
    return result if out is None else write_out(out, result, "tensordot")


def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product."""
    n = max(input._array.ndim, other._array.ndim)
    a = (1,) * (n - input._array.ndim) + input._array.shape
    b = (1,) * (n - other._array.ndim) + other._array.shape
    left = reshape(input, [v for s in a for v in (s, 1)])
    right = reshape(other, [v for s in b for v in (1, s)])
    return reshape(left * right, [s * r for s, r in zip(a, b)])


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, left to right."""
    result = matrices[0]
    for m in matrices[1:]:
        result = mm(result, m)
    return result


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products named by letters, as `"bij,bjk->bik"`; `...` stands for batch dims.

    Operands are contracted from left to right, each step as one batched matrix product.

    >>> import rushlight as torch
    >>> torch.einsum("ij,jk->ik", torch.ones(2, 3), torch.ones(3, 4)).shape
    torch.Size([2, 4])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    inputs, output = _parse_einsum(equation, operands)
    terms = [_take_diagonals(x, list(letters)) for x, letters in zip(operands, inputs)]
    x, letters = terms[0]
    for i, (y, others) in enumerate(terms[1:], 1):
        later = set(output).union(*[t[1] for t in terms[i + 1 :]])
        x, letters = _contract(x, letters, y, others, later)
    extra = [letters.index(c) for c in letters if c not in output]
    if extra:
        x = x.sum(extra)
        letters = [c for c in letters if c in output]
    return x.permute([letters.index(c) for c in output]) if output else x


def _parse_einsum(equation: str, operands: Any) -> tuple[list[list[str]], list[str]]:
    """Letters of each operand and of the result; dims of `...` become digits-like symbols."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise RuntimeError(
            f"einsum(): more operands were provided than specified in the equation "
            f"or fewer ({len(operands)} for {len(parts)})"
        )
    batch = 0
    for part, x in zip(parts, operands):
        if "..." in part:
            batch = max(batch, x._array.ndim - len(part.replace("...", "")))
    inputs = []
    sizes: dict[str, int] = {}
    for k, (part, x) in enumerate(zip(parts, operands)):
        n = x._array.ndim - len(part.replace("...", ""))
        if (n != 0 and "..." not in part) or n < 0:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(part)}) does not match "
                f"the number of dimensions ({x._array.ndim}) for operand {k} and no ellipsis was "
                "given"
            )
        head, _, tail = part.partition("...")
        dots = [f".{i}" for i in range(batch - n, batch)] if "..." in part else []
        letters = [*head, *dots, *tail]
        for c, s in zip(letters, x._array.shape):
            if sizes.setdefault(c, s) != s:
                if sizes[c] == 1:
                    sizes[c] = s
                elif s != 1:
                    raise RuntimeError(
                        f"einsum(): subscript {c} has size {s} for operand {k} which does not "
                        f"broadcast with previously seen size {sizes[c]}"
                    )
        inputs.append(letters)
    if arrow:
        head, _, tail = right.partition("...")
        output = [*head, *([f".{i}" for i in range(batch)] if "..." in right else []), *tail]
    else:
        flat = [c for letters in inputs for c in letters]
        once = sorted(c for c in set(flat) if not c.startswith(".") and flat.count(c) == 1)
        output = [f".{i}" for i in range(batch)] + once
    for c in output:
        if c not in sizes:
            raise RuntimeError(
                f"einsum(): output subscript {c} does not appear in the "
                f"equation for "
                "any input operand"
            )
    return inputs, output


def _take_diagonals(x: Any, letters: list[str]) -> tuple[Any, list[str]]:
    """A letter that stands twice in one operand means its diagonal."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            x = x.diagonal(0, i, j)
            letters = [v for k, v in enumerate(letters) if k not in (i, j)] + [c]
    return x, letters


def _contract(x: Any, a: list[str], y: Any, b: list[str], later: set[str]) -> tuple[Any, list[str]]:
    """One product of two operands, summed over the letters that nobody needs later."""
    shared = [c for c in a if c in b]
    batch = [c for c in shared if c in later]
    summed = [c for c in shared if c not in later]
    rows = [c for c in a if c not in b]
    columns = [c for c in b if c not in a]
    xs, ys = x._array.shape, y._array.shape
    size = {c: xs[a.index(c)] for c in a}
    for c in b:
        size[c] = max(size.get(c, 1), ys[b.index(c)])
    x = x.permute([a.index(c) for c in batch + rows + summed])
    y = y.permute([b.index(c) for c in batch + summed + columns])
    x = x.expand([size[c] for c in batch + rows + summed])
    y = y.expand([size[c] for c in batch + summed + columns])

    def total(letters: list[str]) -> int:
        count = 1
        for c in letters:
            count *= size[c]
        return count

    x = reshape(x, (total(batch), total(rows), total(summed)))
    y = reshape(y, (total(batch), total(summed), total(columns)))
    order = batch + rows + columns
    return reshape(bmm(x, y), [size[c] for c in order]), order


class EinsumMethods:
    """Products over any dims as methods of `Tensor`."""

    inner = inner
    kron = kron
