"""rushlight: PyTorch's programming model with a Python engine.

    import rushlight as torch

The namespace is laid out as PyTorch's. Subpackages (`nn`, `optim`, `utils`, `vision`, …) are
imported when first used.
"""

from __future__ import annotations

import importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from . import autograd, return_types
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)  # fmt: skip
from .autograd.anomaly import is_anomaly_enabled, set_detect_anomaly
from .device import device
from .dtypes import (
    bfloat16,
    can_cast,
    cdouble,
    cfloat,
    complex64,
    complex128,
    double,
    dtype,
    finfo,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)  # fmt: skip
from .dtypes import (
    bool_ as bool,
)
from .dtypes import (
    float_ as float,
)
from .dtypes import (
    int_ as int,
)
from .errors import AcceleratorError, OutOfMemoryError
from .formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    strided,
)  # fmt: skip
from .ops import from_data as _from_data
from .ops.activation import prelu, relu, rrelu
from .ops.arithmetic import *
from .ops.choose import *
from .ops.compare import *
from .ops.copy import *
from .ops.create import *
from .ops.cumulative import *
from .ops.determinant import det, slogdet
from .ops.division import *
from .ops.dropout import *
from .ops.einsum import chain_matmul, einsum, inner, kron, tensordot
from .ops.expand import *
from .ops.extrema import *
from .ops.factor import *
from .ops.from_data import *
from .ops.gather import *
from .ops.index import *
from .ops.index_select import *
from .ops.linear import addbmm, addmm, addmv, addr, baddbmm, bilinear
from .ops.logic import *
from .ops.masked import *
from .ops.matmul import _int_mm, bmm, dot, ger, matmul, mm, mv, outer, vdot
from .ops.matrix import matrix_exp, matrix_power
from .ops.numeric import *
from .ops.optimizer import _foreach_add_, _fused_adam_, _fused_adamw_, _fused_sgd_
from .ops.parts import *
from .ops.pointwise import *
from .ops.power import *
from .ops.random import *
from .ops.rearrange import *
from .ops.reduce import *
from .ops.rounding import *
from .ops.scatter import *
from .ops.shape import *
from .ops.softmax import log_softmax, softmax
from .ops.sort import *
from .ops.special import i0, igamma, igammac, mvlgamma, polygamma
from .ops.spread import *
from .ops.ternary import *
from .ops.transpose import *
from .ops.triangular import lu_solve
from .ops.trigonometry import *
from .ops.unary import *
from .ops.units import celu, selu, threshold
from .printing import get_printoptions, set_printoptions
from .queries import (
    get_default_device,
    is_complex,
    is_floating_point,
    is_nonzero,
    is_storage,
    is_tensor,
    numel,
    result_type,
    set_default_tensor_type,
)  # fmt: skip
from .random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)  # fmt: skip
from .size import Size
from .storage import UntypedStorage
from .tensor import Tensor
from .threads import (
    get_num_interop_threads,
    get_num_threads,
    set_num_interop_threads,
    set_num_threads,
)
from .torch_version import __version__

# Importing the submodule `tensor` gave the package its name; it is the function's.
tensor = _from_data.tensor

# Subpackages, and names that live in modules which are imported on first use.
_SUBMODULES = frozenset((
    "backends", "cuda", "distributed", "fft", "hub", "linalg", "nn", "optim", "random",
    "special", "testing", "utils", "vision", "interop", "serialization", "version", "amp",
    "types", "multiprocessing", "jit", "overrides", "accelerator", "compiler",
    "settings", "torch_version",
))  # fmt: skip
_LAZY = {
    "load": "serialization", "save": "serialization", "from_dlpack": "interop.dlpack",
    "FloatTensor": "legacy", "DoubleTensor": "legacy", "HalfTensor": "legacy",
    "BFloat16Tensor": "legacy", "LongTensor": "legacy", "IntTensor": "legacy",
    "ShortTensor": "legacy", "CharTensor": "legacy", "ByteTensor": "legacy", "BoolTensor": "legacy",
    "to_dlpack": "interop.dlpack", "compile": "compiler", "autocast": "amp", "GradScaler": "amp",
    **dict.fromkeys((
        "are_deterministic_algorithms_enabled", "get_autocast_dtype",
        "get_deterministic_debug_mode", "get_float32_matmul_precision",
        "is_autocast_cache_enabled", "is_autocast_enabled",
        "is_deterministic_algorithms_warn_only_enabled", "is_inference", "is_warn_always_enabled",
        "set_default_device", "set_deterministic_debug_mode", "set_float32_matmul_precision",
        "set_flush_denormal", "set_warn_always", "typename", "use_deterministic_algorithms", "vmap",
    ), "settings"),
}  # fmt: skip

# What layers compute; `nn` imports these files, too.
_LAZY_OPS = {
    "conv": (
        "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
        "convolution",
    ),
    "distance": ("cdist", "cosine_similarity", "pairwise_distance", "pdist"),
    "embedding": ("embedding",),
    "embedding_bag": ("embedding_bag",),
    "fold": ("channel_shuffle", "pixel_shuffle", "pixel_unshuffle"),
    "norm": ("batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"),
    "pool": (
        "adaptive_avg_pool1d", "adaptive_max_pool1d", "avg_pool1d", "max_pool1d",
        "max_pool1d_with_indices", "max_pool2d", "max_pool3d",
    ),
    "recurrent": (
        "gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh",
        "rnn_tanh_cell",
    ),
}  # fmt: skip
_LAZY.update({name: f"ops.{file}" for file, names in _LAZY_OPS.items() for name in names})

newaxis = None

if TYPE_CHECKING:
    from . import cuda, hub, nn, optim, random, utils, vision
    from .ops.conv import *
    from .ops.distance import cdist, cosine_similarity, pairwise_distance, pdist
    from .ops.embedding import embedding
    from .ops.embedding_bag import embedding_bag
    from .ops.fold import channel_shuffle, pixel_shuffle, pixel_unshuffle
    from .ops.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
    from .ops.pool import (
        adaptive_avg_pool1d,
        adaptive_max_pool1d,
        avg_pool1d,
        max_pool1d,
        max_pool1d_with_indices,
        max_pool2d,
        max_pool3d,
    )  # fmt: skip
    from .ops.recurrent import *
    from .serialization import load, save


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    elif name in _LAZY:
        value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    elif name == "__all__":  # for `from rushlight import *`
        return _public_names()
    from .errors import missing_attribute

    raise missing_attribute("torch", name, globals())


def _public_names() -> list[str]:
    """What is PyTorch's at the top level, loaded or not; subpackages are imported by name."""
    ours = {"Any", "TYPE_CHECKING", "annotations"}
    loaded = {
        name
        for name, value in globals().items()
        if name[0] != "_"
        and name not in ours
        and not name.endswith("Methods")
        and type(value) is not type(importlib)
    }
    return sorted(loaded.union(_LAZY))


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LAZY})
