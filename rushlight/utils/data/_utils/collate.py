"""From a list of samples to one batch: tensors are stacked, containers are walked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy

import rushlight
from rushlight import Tensor

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[Any, Callable[..., Any]]


def default_convert(data: Any) -> Any:
    """Turns NumPy arrays and scalars inside nested containers into tensors; no batching.

    Strings, Python numbers and unknown types stay as they are.

    >>> import rushlight as torch, numpy
    >>> torch.utils.data.default_convert({"x": numpy.array([1, 2]), "n": 3})
    {'x': tensor([1, 2]), 'n': 3}
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (numpy.ndarray, numpy.generic)):
        if data.dtype.kind in "SUO":
            return data
        return rushlight.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if _is_namedtuple(data):
        return type(data)(*(default_convert(item) for item in data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Batches a list of like samples; `collate_fn_map` says how, from element type to function.

    The exact type of the first element is looked up first, then the first key that it is an
    instance of. Mappings, named tuples and sequences are batched field by field. Raises
    TypeError for an element of unknown type and RuntimeError for sequences of unequal length.

    >>> import rushlight as torch
    >>> torch.utils.data.collate([1, 2], collate_fn_map={int: lambda batch, **_: sum(batch)})
    3
    """
    first = batch[0]
    if collate_fn_map is not None:
        function = _function_for(first, collate_fn_map)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        fields = {
            key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map)
            for key in first
        }
        return _like_mapping(first, fields)
    if isinstance(first, Sequence):
        return _collate_sequences(batch, collate_fn_map)
    raise TypeError(_unknown_type(type(first)))


def default_collate(batch: Any) -> Any:
    """Batches samples as the loader does by default, with a new first dimension.

    Tensors are stacked; NumPy arrays, numpy scalars and numbers become tensors (floats float64,
    ints int64); strings and bytes stay lists; dicts, named tuples, tuples and lists are batched
    field by field. Raises TypeError for other types.

    >>> import rushlight as torch
    >>> torch.utils.data.default_collate([(0, "a"), (1, "b")])
    [tensor([0, 1]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def _function_for(element: Any, collate_fn_map: CollateMap) -> Callable[..., Any] | None:
    function = collate_fn_map.get(type(element))
    if function is not None:
        return function
    for kind, candidate in collate_fn_map.items():
        if isinstance(element, kind):
            return candidate
    return None


def _collate_sequences(batch: Any, collate_fn_map: CollateMap | None) -> Any:
    first = batch[0]
    if not _is_namedtuple(first) and any(len(sample) != len(first) for sample in batch):
        raise RuntimeError(
            "each element in list of batch should be of equal size; "
            f"got sizes {sorted({len(sample) for sample in batch})}"
        )
    fields = [collate(field, collate_fn_map=collate_fn_map) for field in zip(*batch, strict=False)]
    if _is_namedtuple(first):
        return type(first)(*fields)
    if isinstance(first, tuple):
        return fields  # a list, not a tuple: PyTorch's convention since its first versions
    return _like_sequence(first, fields)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _like_mapping(original: Mapping[Any, Any], fields: dict[Any, Any]) -> Any:
    """`fields` in the type of `original`, or a dict where that type cannot be made."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)  # keeps what the type holds besides its items
            clone.update(fields)
            return clone
        return type(original)(fields)  # type: ignore[call-arg]
    except TypeError:
        return fields


def _like_sequence(original: Sequence[Any], items: list[Any]) -> Any:
    """`items` in the type of `original`, or a list where that type cannot be made."""
    if type(original) is list:
        return items
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(original)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _unknown_type(kind: Any) -> str:
    return (
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {kind}. Give the DataLoader a collate_fn that knows this type"
    )


def collate_tensor_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return rushlight.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_unknown_type(batch[0].dtype))
    return collate([rushlight.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return rushlight.as_tensor(numpy.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return rushlight.tensor(batch, dtype=rushlight.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return rushlight.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    return batch


# Looked through in this order for types that are not listed themselves: a numpy.float64 is a
# float too, so the NumPy scalars stand first.
default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    numpy.ndarray: collate_numpy_array_fn,
    (numpy.bool_, numpy.number, numpy.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
