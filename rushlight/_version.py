"""The version, in PyTorch's numbering, so that programs which compare it take the right branch."""

__version__ = "0.1.0"
TORCH_VERSION = "2.13.0+rushlight"
VISION_VERSION = "0.28.0+rushlight"
