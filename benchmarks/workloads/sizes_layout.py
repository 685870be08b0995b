"""Operations on images whose channels lie side by side in memory (channels_last).

Small images stay in the caches, large ones are a ResNet's first activations. `layout_bwd` is the
forward and the backward pass together, with a gradient in the same layout.
"""

from ._common import Work, normal, workload

SHAPES = {"small": (8, 32, 28, 28), "large": (32, 64, 56, 56)}


def _last(torch, t):
    return t.contiguous(memory_format=torch.channels_last)


def F(torch):
    return torch.nn.functional


OPS = {
    "batch_norm": lambda t, x, c: F(t).batch_norm(
        x, c["mean"], c["var"], c["w"], c["b"], training=True
    ),
    "batch_norm_eval": lambda t, x, c: F(t).batch_norm(x, c["mean"], c["var"], c["w"], c["b"]),
    "group_norm": lambda t, x, c: F(t).group_norm(x, 8, c["w"], c["b"]),
    "layer_norm": lambda t, x, c: F(t).layer_norm(
        x.permute(0, 2, 3, 1), (x.shape[1],), c["w"], c["b"]
    ),
    "softmax": lambda t, x, c: F(t).softmax(x, 1),
    "log_softmax": lambda t, x, c: F(t).log_softmax(x, 1),
    "relu": lambda t, x, c: F(t).relu(x),
    "add": lambda t, x, c: x + c["other"],
    "add_contiguous": lambda t, x, c: x + c["contiguous"],
    "mean": lambda t, x, c: x.mean((2, 3)),
    "sum": lambda t, x, c: x.sum(),
    "sum_channels": lambda t, x, c: x.sum(1),
    "amax": lambda t, x, c: x.amax((2, 3)),
    "norm": lambda t, x, c: x.norm(),
}


def _operands(torch, ctx, size):
    shape = SHAPES[size]
    contiguous = ctx.t(normal("lay_o", *shape))
    c = {
        "w": ctx.t(normal("lay_w", shape[1])),
        "b": ctx.t(normal("lay_b", shape[1])),
        "mean": torch.zeros(shape[1]),
        "var": torch.ones(shape[1]),
        "contiguous": contiguous,
        "other": _last(torch, contiguous),
    }
    return _last(torch, ctx.t(normal("lay_x", *shape))), c


def _numbers(t):
    return t.detach().contiguous().reshape(-1)[:100000].numpy().copy()


@workload("layout", op=list(OPS), size=list(SHAPES))
def layout(torch, ctx, op, size):
    x, c = _operands(torch, ctx, size)

    def step():
        with torch.no_grad():
            return OPS[op](torch, x, c)

    return Work(step, samples=x.numel(), check_steps=0, outputs=lambda: {"out": _numbers(step())})


BACKWARD = ["batch_norm", "batch_norm_eval", "group_norm", "softmax", "relu", "add"]


@workload("layout_bwd", op=BACKWARD, size=["small"])
def layout_bwd(torch, ctx, op, size):
    x, c = _operands(torch, ctx, size)
    g = _last(torch, ctx.t(normal("lay_g", *SHAPES[size])))
    leaves = [x.requires_grad_(True), c["w"].requires_grad_(True), c["b"].requires_grad_(True)]

    def step():
        for leaf in leaves:
            leaf.grad = None
        OPS[op](torch, x, c).backward(g)

    def outputs():
        step()
        return {f"g{i}": _numbers(t.grad) for i, t in enumerate(leaves) if t.grad is not None}

    return Work(step, samples=x.numel(), check_steps=0, outputs=outputs)
