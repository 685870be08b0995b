"""What every workload file uses: registry, deterministic numpy data, Ctx and Work.

A workload is a plain PyTorch-style program.  It is registered with

    @workload("lenet_train", B=[4, 32, 128])
    def lenet_train(torch, ctx, B):
        ...
        return Work(step, samples=B, flops=...)

which makes the workloads lenet_train/B4, lenet_train/B32 and lenet_train/B128.
`torch` is the module under test (real torch, or rushlight imported as torch).
Only numpy and the module under test may be imported by a workload file.
"""

import itertools
import zlib

REGISTRY = {}  # name -> (function, kwargs, options)


class Work:
    """What a workload function returns.

    step        callable; one unit of the work.  A training step returns loss.item().
    samples     samples handled by one step (None: not meaningful)
    flops       floating point operations of one step (None: not meaningful)
    outputs     callable -> dict name -> array-like, compared between providers after
                `check_steps` steps, together with the list of what step() returned.
    tol         (rtol, atol) of that comparison, relative to the largest magnitude
    all_cpus    True: do not pin to one core even with --threads 1 (data loader workers)
    """

    def __init__(
        self,
        step,
        samples=None,
        flops=None,
        outputs=None,
        check_steps=4,
        tol=(1e-3, 1e-5),
        all_cpus=False,
        close=None,
    ):
        self.step, self.samples, self.flops = step, samples, flops
        self.outputs, self.check_steps, self.tol = outputs, check_steps, tol
        self.all_cpus, self.close = all_cpus, close


def workload(name, group=None, **grid):
    """Register; `grid` is the product of the named lists."""

    def deco(fn):
        keys = list(grid)
        for values in itertools.product(*grid.values()):
            kw = dict(zip(keys, values))
            suffix = "".join(
                "/" + (f"{k}{v}" if not isinstance(v, str) else v) for k, v in kw.items()
            )
            REGISTRY[name + suffix] = (fn, kw, dict(group=group or name))
        return fn

    return deco


# ---- deterministic data, the same in every process and for every framework ----------------


def rs(*key):
    import numpy as np

    return np.random.RandomState(zlib.crc32(repr(key).encode()) & 0x7FFFFFFF)


def normal(key, *shape):
    return rs("normal", key, shape).standard_normal(shape).astype("float32")


def uniform(key, *shape, lo=0.0, hi=1.0):
    return rs("uniform", key, shape).uniform(lo, hi, shape).astype("float32")


def integers(key, high, *shape):
    return rs("int", key, shape).randint(0, high, shape).astype("int64")


def init_array(tag, name, shape):
    """Initial value of the parameter `name` (PyTorch's name and layout) of model `tag`."""
    r = rs("init", tag, name, tuple(shape))
    n = 1
    for s in shape[1:]:
        n *= s
    if len(shape) == 4:
        k = (3.0 / n) ** 0.5
        a = r.uniform(-k, k, shape)
    elif len(shape) >= 2:
        k = (1.0 / n) ** 0.5
        a = r.uniform(-k, k, shape)
    elif name.endswith("weight"):  # a norm layer's scale
        a = r.uniform(0.9, 1.1, shape)
    else:
        a = r.uniform(-0.05, 0.05, shape)
    return a.astype("float32")


class Ctx:
    """The few things a workload needs beyond `torch`.

    timing   False while checking numbers, True while measuring.  While measuring,
             learning rates are made 1e-4 times smaller, so that thousands of steps on one
             batch do not drive weights, moments or gradients into denormals or NaN.
    """

    def __init__(self, torch, timing, threads=1, compile=None, modname="torch"):
        self.torch, self.timing, self.threads = torch, timing, threads
        self._compile, self.modname = compile, modname

    def lr(self, lr):
        return lr * 1e-4 if self.timing else lr

    def compile(self, fn):  # identity but for the torch.compile provider
        return self._compile(fn) if self._compile else fn

    def t(self, array, grad=False):
        t = self.torch.from_numpy(array.copy())
        return t.requires_grad_(True) if grad else t

    def load(self, model, tag):
        """Initial weights from numpy, by parameter name."""
        torch = self.torch
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(torch.from_numpy(init_array(tag, name, tuple(p.shape))))
        return model

    def sub(self, name):
        """A submodule such as utils.data of the module under test."""
        import importlib

        return importlib.import_module(f"{self.torch.__name__}.{name}")

    def vision(self):
        """torchvision.transforms of the module under test."""
        import importlib

        if self.torch.__name__ != "torch":
            importlib.import_module(f"{self.torch.__name__}.vision")
            return importlib.import_module(f"{self.torch.__name__}.vision.transforms")
        try:
            # a wheel of torchvision whose C++ ops cannot load (CUDA build beside a CPU torch)
            # still has its transforms, once these two names exist
            import torch

            try:
                import torchvision  # noqa: F401
            except RuntimeError:
                import sys

                for m in [m for m in sys.modules if m.startswith("torchvision")]:
                    del sys.modules[m]
                lib = torch.library.Library("torchvision", "DEF")
                for op in ("nms", "qnms"):
                    lib.define(op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                Ctx._keep = lib
            return importlib.import_module("torchvision.transforms")
        except ImportError:
            from . import _refvision

            return _refvision

    def small_params(self, model, limit=20000):
        return lambda: {
            n: p.detach().numpy().copy() for n, p in model.named_parameters() if p.numel() <= limit
        }


def np_sin(B, T):
    import numpy as np

    phase = rs("sin").uniform(0, 6.28, (B, 1))
    return np.sin(phase + 0.2 * np.arange(T)[None, :]).astype("float32")
