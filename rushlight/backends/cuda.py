"""`torch.backends.cuda`: switches that programs set; without CUDA they change nothing."""

from __future__ import annotations

from types import SimpleNamespace

__all__ = ["cufft_plan_cache", "enable_flash_sdp", "enable_math_sdp", "enable_mem_efficient_sdp",
           "flash_sdp_enabled", "is_built", "math_sdp_enabled", "matmul",
           "mem_efficient_sdp_enabled", "preferred_linalg_library"]  # fmt: skip

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
)
cufft_plan_cache = SimpleNamespace(size=0, max_size=0)
_attention = {"flash": True, "mem_efficient": True, "math": True}


def is_built() -> bool:
    """Whether this build has CUDA kernels."""
    return False


def preferred_linalg_library(backend: str | None = None) -> str:
    """The library for linear algebra on CUDA devices."""
    return "default"


def enable_flash_sdp(enabled: bool) -> None:
    """Allows or forbids the flash kernel of attention on CUDA devices."""
    _attention["flash"] = bool(enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Allows or forbids the memory-efficient kernel of attention on CUDA devices."""
    _attention["mem_efficient"] = bool(enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Allows or forbids the plain kernel of attention on CUDA devices."""
    _attention["math"] = bool(enabled)


def flash_sdp_enabled() -> bool:
    """Whether the flash kernel is allowed."""
    return _attention["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """Whether the memory-efficient kernel is allowed."""
    return _attention["mem_efficient"]


def math_sdp_enabled() -> bool:
    """Whether the plain kernel is allowed."""
    return _attention["math"]
