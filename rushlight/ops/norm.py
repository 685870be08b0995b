"""Normalisation: batch, layer, group, instance, root mean square, local response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..autograd.primitive import primitive
from ..backends import kernels
from ..types_ import Array, Shape
from .common import check_tensor
from .memory_format import laid_out_as_image

if TYPE_CHECKING:
    from ..tensor import Tensor

__all__ = ["batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize",
           "local_response_norm"]  # fmt: skip


# ---- batch norm ----------------------------------------------------------------------------


@primitive(name="NativeBatchNorm", nondifferentiable=(1, 2), kernel="batch_norm")
def _batch_norm(x: Array, weight: Array | None, bias: Array | None, running_mean: Array | None,
                running_var: Array | None, *, training: bool, momentum: float,
                eps: float) -> tuple[Array, Array, Array]:  # fmt: skip
    return kernels(x).batch_norm(
        x, weight, bias, running_mean, running_var, training, momentum, eps
    )


@primitive(name="NativeBatchNormBackward", kernel="batch_norm_grad")
def _batch_norm_backward(g: Array, x: Array, weight: Array | None, mean: Array, invstd: Array, *,
                         training: bool, needs: tuple[bool,
                         ...]) -> tuple[Any, Any, Any]:  # fmt: skip
    return kernels(g).batch_norm_grad(g, x, weight, mean, invstd, training, needs)


_batch_norm.derive(("x", "weight", "bias"), _batch_norm_backward, "grad", "x", "weight",
                   "results[1]", "results[2]", training="training", needs="needs")  # fmt: skip


@_batch_norm_backward.derivative("g", "x", "weight")
def _batch_norm_double(grads: list[Any], g: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor,
                       invstd: Tensor, training: bool) -> Any:  # fmt: skip
    """Second derivatives: the first ones written with differentiable operations."""
    shape = [1, -1] + [1] * (x._array.ndim - 2)
    axes = [i for i in range(x._array.ndim) if i != 1]
    return _differentiate_backward(grads, g, x, weight, mean, invstd, shape, axes, training)


def _differentiate_backward(grads: list[Any], g: Any, x: Any, weight: Any, mean: Any, invstd: Any,
                            shape: list[int], axes: list[int], training: bool) -> Any:  # fmt: skip
    """Vector-Jacobian products of (dx, dweight, dbias) with respect to (g, x, weight).

    With x̂ = (x - mean)·invstd and w the scale: dx = w·invstd·(g - mean(g) - x̂·mean(g·x̂)) in
    training (statistics depend on x), w·invstd·g otherwise; dweight = Σ g·x̂; dbias = Σ g.
    """
    from ..autograd import enable_grad
    from ..autograd import grad as differentiate

    with enable_grad():
        g2, x2 = g.detach().requires_grad_(True), x.detach().requires_grad_(True)
        w2 = None if weight is None else weight.detach().requires_grad_(True)
        if training:
            center = x2.mean(axes, keepdim=True)
            eps_var = (1 / (invstd * invstd)).reshape(shape) - _variance(x, axes)
            scale = (_variance(x2, axes) + eps_var.detach()).rsqrt()
        else:
            center, scale = mean.reshape(shape), invstd.reshape(shape)
        hat = (x2 - center) * scale
        w = 1 if w2 is None else w2.reshape(shape)
        if training:
            dx = w * scale * (g2 - g2.mean(axes, keepdim=True)
                              - hat * (g2 * hat).mean(axes, keepdim=True))  # fmt: skip
        else:
            dx = w * scale * g2
        total: Any = 0
        pieces = (dx, (g2 * hat).sum(axes), g2.sum(axes))
        for vector, value in zip(grads, pieces):
            if vector is not None:
                total = total + (vector.detach() * value).sum()
        inputs = [t for t in (g2, x2, w2) if t is not None]
        found = differentiate(total, inputs, allow_unused=True)
    results = [found[0], found[1], found[2] if w2 is not None else None]
    return results


def _variance(x: Any, axes: list[int]) -> Any:
    center = x.mean(axes, keepdim=True)
    return ((x - center) * (x - center)).mean(axes, keepdim=True)


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
               weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Tensor:  # fmt: skip
    """`(x - mean) / sqrt(var + eps) · weight + bias` per channel (dim 1).

    In training the statistics are the batch's, and the running ones move towards them by
    `momentum` (with the unbiased variance); otherwise the running ones are used.

    >>> import rushlight as torch
    >>> torch.nn.functional.batch_norm(torch.tensor([[1.], [3.]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    check_tensor(input, "batch_norm")
    x = input._array
    if x.size == 0 and x.ndim < 2:
        return _scaled(input, weight, bias, [-1])
    if x.ndim < 2:
        raise RuntimeError(
            f"[batch_norm] expected an input of at least 2 dims, got {list(x.shape)}"
        )
    channels = x.shape[1]
    for name, t in (("running_mean", running_mean), ("running_var", running_var),
                    ("weight", weight), ("bias", bias)):  # fmt: skip
        if t is not None and t._array.size != channels:
            raise RuntimeError(
                f"[batch_norm] {name} should contain {channels} elements not {t._array.size}"
            )
    if training:
        if eps <= 0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        if x.size == 0:  # no sample, no statistics: the running ones stay
            running_mean = running_var = None
        values = x.size // channels if channels else 0
        if values == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size "
                f"{input.size()}"
            )
    elif running_mean is None or running_var is None:
        raise RuntimeError(
            "[batch_norm] Expected running_mean and running_var to be defined when "
            "training is False"
        )
    result = _batch_norm(input, weight, bias, running_mean, running_var, training=training,
                         momentum=momentum, eps=eps)[0]  # fmt: skip
    if training:
        for statistic in (running_mean, running_var):
            if statistic is not None:
                statistic.storage_record.version += 1
    return result


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: list[int]) -> Tensor:
    """`x · weight + bias`: what remains of a normalisation of nothing."""
    result = x * 1
    if weight is not None:
        result = result * weight.reshape(shape)
    return result if bias is None else result + bias.reshape(shape)


# ---- layer norm ----------------------------------------------------------------------------


@primitive(name="NativeLayerNorm", nondifferentiable=(1, 2), kernel="layer_norm")
def _layer_norm(x: Array, weight: Array | None, bias: Array | None, *, axes: int,
                eps: float) -> tuple[Array, Array, Array]:  # fmt: skip
    return kernels(x).layer_norm(x, weight, bias, axes, eps)


@primitive(name="NativeLayerNormBackward", kernel="layer_norm_grad")
def _layer_norm_backward(g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, *,
                         axes: int, needs: tuple[bool, ...]) -> tuple[Any, Any, Any]:  # fmt: skip
    return kernels(g).layer_norm_grad(g, x, weight, mean, rstd, axes, needs)


_layer_norm.derive(("x", "weight", "bias"), _layer_norm_backward, "grad", "x", "weight",
                   "results[1]", "results[2]", axes="axes", needs="needs")  # fmt: skip


@_layer_norm_backward.derivative("g", "x", "weight")
def _layer_norm_double(grads: list[Any], g: Tensor, x: Tensor, weight: Tensor | None,
                       rstd: Tensor, axes: int) -> Any:  # fmt: skip
    from ..autograd import enable_grad
    from ..autograd import grad as differentiate

    ndim = x._array.ndim
    inner = list(range(ndim - axes, ndim))
    outer = list(range(ndim - axes))
    with enable_grad():
        g2, x2 = g.detach().requires_grad_(True), x.detach().requires_grad_(True)
        w2 = None if weight is None else weight.detach().requires_grad_(True)
        eps_var = 1 / (rstd * rstd) - _variance(x, inner)
        scale = (_variance(x2, inner) + eps_var.detach()).rsqrt()
        hat = (x2 - x2.mean(inner, keepdim=True)) * scale
        gw = g2 if w2 is None else g2 * w2
        dx = scale * (gw - gw.mean(inner, keepdim=True)
                      - hat * (gw * hat).mean(inner, keepdim=True))  # fmt: skip
        dw = (g2 * hat).sum(outer) if outer else g2 * hat
        db = g2.sum(outer) if outer else g2
        total: Any = 0
        for vector, value in zip(grads, (dx, dw, db)):
            if vector is not None:
                total = total + (vector.detach() * value).sum()
        found = differentiate(total, [t for t in (g2, x2, w2) if t is not None], allow_unused=True)
    return [found[0], found[1], found[2] if w2 is not None else None]


def layer_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:  # fmt: skip
    """`(x - mean) / sqrt(var + eps) · weight + bias` over the trailing dims `normalized_shape`.

    >>> import rushlight as torch
    >>> torch.nn.functional.layer_norm(torch.tensor([[1., 3.]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    shape = _trailing("layer_norm", input, normalized_shape, weight, bias)
    return _layer_norm(input, weight, bias, axes=len(shape), eps=eps)[0]


def _trailing(op: str, input: Any, normalized_shape: Any, weight: Any, bias: Any) -> Shape:
    """The trailing dims to normalise over, checked against the input and the parameters."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., "
            "containing "
            f"at least one element, but got normalized_shape = {list(shape)}"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t._array.shape != shape:
            raise RuntimeError(
                f"[{op}] Expected {name} to be of same shape as normalized_shape, but "
                f"got {name} of "
                f"shape {list(t._array.shape)} and normalized_shape = {list(shape)}"
            )
    if input._array.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"[{op}] Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input._array.shape)}"
        )
    return shape


# ---- the others ----------------------------------------------------------------------------


@primitive(name="NativeGroupNorm", nondifferentiable=(1, 2), kernel="group_norm")
def _group_norm(x: Array, weight: Array | None, bias: Array | None, *, groups: int,
                eps: float) -> tuple[Array, Array, Array]:  # fmt: skip
    return kernels(x).group_norm(x, weight, bias, groups, eps)


@primitive(name="NativeGroupNormBackward", kernel="group_norm_grad")
def _group_norm_backward(g: Array, x: Array, weight: Array | None, mean: Array, rstd: Array, *,
                         groups: int, needs: tuple[bool, ...]) -> tuple[Any, Any, Any]:  # fmt: skip
    return kernels(g).group_norm_grad(g, x, weight, mean, rstd, groups, needs)


_group_norm.derive(("x", "weight", "bias"), _group_norm_backward, "grad", "x", "weight",
                   "results[1]", "results[2]", groups="groups", needs="needs")  # fmt: skip


@_group_norm_backward.derivative("g", "x", "weight")
def _group_norm_double(grads: list[Any], g: Tensor, x: Tensor, weight: Tensor | None, rstd: Tensor,
                       groups: int) -> Any:  # fmt: skip
    from ..autograd import enable_grad
    from ..autograd import grad as differentiate

    shape = x._array.shape
    n, channels = shape[:2]
    folded = (n, groups, -1)
    per_channel = [1, channels] + [1] * (len(shape) - 2)
    spatial = [0, *range(2, len(shape))]
    with enable_grad():
        g2, x2 = g.detach().requires_grad_(True), x.detach().requires_grad_(True)
        w2 = None if weight is None else weight.detach().requires_grad_(True)
        flat = x2.reshape(folded)
        eps_var = 1 / (rstd * rstd).reshape(n, groups, 1) - _variance(x.reshape(folded), [2])
        scale = (_variance(flat, [2]) + eps_var.detach()).rsqrt()
        hat = (flat - flat.mean(2, keepdim=True)) * scale
        gw = (g2 if w2 is None else g2 * w2.reshape(per_channel)).reshape(folded)
        dx = scale * (gw - gw.mean(2, keepdim=True) - hat * (gw * hat).mean(2, keepdim=True))
        dw = (g2 * hat.reshape(shape)).sum(spatial)
        total: Any = 0
        for vector, value in zip(grads, (dx.reshape(shape), dw, g2.sum(spatial))):
            if vector is not None:
                total = total + (vector.detach() * value).sum()
        found = differentiate(total, [t for t in (g2, x2, w2) if t is not None], allow_unused=True)
    return [found[0], found[1], found[2] if w2 is not None else None]


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:  # fmt: skip
    """Normalisation over groups of channels (and all spatial dims) of each sample."""
    if input._array.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input._array.ndim}"
        )
    if input._array.shape[1] % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input._array.shape)} and num_groups={num_groups}"
        )
    if input._array.size == 0:
        channels = input._array.shape[1]
        return _scaled(input, weight, bias, [channels] + [1] * (input._array.ndim - 2))
    return _group_norm(input, weight, bias, groups=num_groups, eps=eps)[0]


@primitive(name="FusedRmsNorm", nondifferentiable=(1,))
def _rms_norm(x: Array, weight: Array | None, *, axes: int, eps: float) -> tuple[Array, Array]:
    out, rstd = kernels(x).rms_norm(x, weight, axes, eps)
    return laid_out_as_image(out, x), rstd


@_rms_norm.derivative("x", "weight")
def _rms_norm_grads(grad: Tensor, x: Tensor, weight: Tensor | None, results: Any, axes: int,
                    needs: tuple[bool, ...]) -> Any:  # fmt: skip
    return _rms_norm_backward(grad, x, weight, results[1], axes=axes, needs=needs)


@primitive(name="FusedRmsNormBackward")
def _rms_norm_backward(g: Array, x: Array, weight: Array | None, rstd: Array, *, axes: int,
                       needs: tuple[bool, ...]) -> tuple[Any, Any]:  # fmt: skip
    dx, dweight = kernels(g).rms_norm_grad(g, x, weight, rstd, axes, needs)
    return None if dx is None else laid_out_as_image(dx, x), dweight


@_rms_norm_backward.derivative("g", "x", "weight")
def _rms_norm_double(grads: list[Any], g: Tensor, x: Tensor, weight: Tensor | None, rstd: Tensor,
                     axes: int) -> Any:  # fmt: skip
    from ..autograd import enable_grad
    from ..autograd import grad as differentiate

    ndim = x._array.ndim
    inner, outer = list(range(ndim - axes, ndim)), list(range(ndim - axes))
    with enable_grad():
        g2, x2 = g.detach().requires_grad_(True), x.detach().requires_grad_(True)
        w2 = None if weight is None else weight.detach().requires_grad_(True)
        eps = (1 / (rstd * rstd) - (x * x).mean(inner, keepdim=True)).detach()
        scale = ((x2 * x2).mean(inner, keepdim=True) + eps).rsqrt()
        hat = x2 * scale
        gw = g2 if w2 is None else g2 * w2
        dx = scale * (gw - hat * (gw * hat).mean(inner, keepdim=True))
        dw = (g2 * hat).sum(outer) if outer else g2 * hat
        total: Any = 0
        for vector, value in zip(grads, (dx, dw)):
            if vector is not None:
                total = total + (vector.detach() * value).sum()
        found = differentiate(total, [t for t in (g2, x2, w2) if t is not None], allow_unused=True)
    return [found[0], found[1], found[2] if w2 is not None else None]


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None,
             eps: float | None = None) -> Tensor:  # fmt: skip
    """`x / sqrt(mean(x²) + eps) · weight` over the trailing dims `normalized_shape`."""
    from ..dtypes import finfo

    shape = _trailing("rms_norm", input, normalized_shape, weight, None)
    if input._array.dtype.kind == "c":
        axes = list(range(-len(shape), 0))
        result = input * (input.pow(2).mean(axes, keepdim=True) + (eps or 0.0)).rsqrt()
        return result if weight is None else result * weight
    eps = finfo(input.dtype).eps if eps is None else eps
    return _rms_norm(input, weight, axes=len(shape), eps=eps)[0]


def instance_norm(input: Tensor, running_mean: Tensor | None = None,
                  running_var: Tensor | None = None, weight: Tensor | None = None,
                  bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1,
                  eps: float = 1e-5) -> Tensor:  # fmt: skip
    """Normalisation of every channel of every sample by itself."""
    shape = input._array.shape
    n, channels = shape[:2]
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = input._array.size // max(n * channels, 1)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.size()}"
        )

    def repeated(t: Any) -> Any:
        return None if t is None else t.repeat(n)

    mean, var = repeated(running_mean), repeated(running_var)
    result = batch_norm(input.reshape(1, n * channels, *shape[2:]), mean, var, repeated(weight),
                        repeated(bias), True, momentum, eps)  # fmt: skip
    for running, moved in ((running_mean, mean), (running_var, var)):
        if running is not None:
            running.copy_(moved.reshape(n, channels).mean(0))
    return result.reshape(shape)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12,
              out: Tensor | None = None) -> Tensor:  # fmt: skip
    """`input / max(‖input‖_p, eps)` along `dim`.

    >>> import rushlight as torch
    >>> torch.nn.functional.normalize(torch.tensor([[3., 4.]]))
    tensor([[0.6000, 0.8000]])
    """
    from .common import write_out

    result = input / input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return result if out is None else write_out(out, result, "normalize")


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0) -> Tensor:  # fmt: skip
    """Each channel divided by `(k + alpha · mean of squares over size neighbours)^beta`."""
    from .pad import pad
    from .pool import avg_pool3d

    if input._array.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input._array.ndim} dimensions)"
        )
    shape = input._array.shape
    if input._array.size == 0:
        return input
    squares = (input * input).reshape(shape[0], 1, shape[1], -1, 1)
    padded = pad(squares, (0, 0, 0, 0, size // 2, (size - 1) // 2))
    mean = avg_pool3d(padded, (size, 1, 1), stride=1).reshape(shape)
    return input / (mean * alpha + k).pow(beta)
