"""Pooling of all kinds, forward and forward with backward."""

from ._common import Work, normal, workload

KINDS = {
    "max2": lambda F, x: F.max_pool2d(x, 2),
    "max3s2p1": lambda F, x: F.max_pool2d(x, 3, 2, 1),
    "avg2": lambda F, x: F.avg_pool2d(x, 2),
    "avg3s2p1": lambda F, x: F.avg_pool2d(x, 3, 2, 1),
    "global": lambda F, x: F.adaptive_avg_pool2d(x, 1),
    "adaptive7": lambda F, x: F.adaptive_avg_pool2d(x, 7),
    "adaptive_max7": lambda F, x: F.adaptive_max_pool2d(x, 7),
}
OTHERS = {
    "lenet1": ((32, 6, 28, 28), lambda F, x: F.max_pool2d(x, 2)),
    "lenet2": ((32, 16, 10, 10), lambda F, x: F.max_pool2d(x, 2)),
    "max1d": ((8, 64, 1000), lambda F, x: F.max_pool1d(x, 2)),
    "max1d_k3": ((8, 64, 1000), lambda F, x: F.max_pool1d(x, 3, 1, 1)),
    "max1d_k3s3": ((8, 64, 1000), lambda F, x: F.max_pool1d(x, 3)),
    "max_k3s3": ((4, 16, 60, 60), lambda F, x: F.max_pool2d(x, 3)),
    "avg_k3s3": ((4, 16, 60, 60), lambda F, x: F.avg_pool2d(x, 3)),
    "avg_k4s4": ((4, 16, 60, 60), lambda F, x: F.avg_pool2d(x, 4)),
    "avg1d": ((8, 64, 1000), lambda F, x: F.avg_pool1d(x, 2)),
    "max3d": ((4, 16, 16, 32, 32), lambda F, x: F.max_pool3d(x, 2)),
    "max3d_k3": ((4, 16, 16, 32, 32), lambda F, x: F.max_pool3d(x, 3, 2, 1)),
    "avg3d": ((4, 16, 16, 32, 32), lambda F, x: F.avg_pool3d(x, 2)),
    "global3d": ((4, 16, 16, 32, 32), lambda F, x: F.adaptive_avg_pool3d(x, 1)),
}
LAST = {"64": (128, 64, 56, 56), "256": (32, 256, 28, 28)}
PASSES = ["forward", "both"]


def passes(torch, x, pool, op):
    functional = torch.nn.functional
    g = torch.ones_like(pool(functional, x))
    x.requires_grad_(op == "both")

    def forward():
        with torch.no_grad():
            return pool(functional, x)

    def both():
        x.grad = None
        pool(functional, x).backward(g)
        return x.grad

    step = forward if op == "forward" else both
    return Work(step, check_steps=1, outputs=lambda: {"out": step().numpy()}, tol=(1e-4, 1e-5))


@workload("pool", kind=list(KINDS), B=[4, 32], layout=["first", "last"], op=PASSES)
def pool(torch, ctx, kind, B, layout, op):
    x = ctx.t(normal("pool_x", B, 64, 56, 56))
    if layout == "last":
        x = x.to(memory_format=torch.channels_last)
    return passes(torch, x, KINDS[kind], op)


@workload("pool_large", kind=["max2", "max3s2p1", "avg2"], op=PASSES)
def pool_large(torch, ctx, kind, op):
    return passes(torch, ctx.t(normal("pool_x", 4, 64, 112, 112)), KINDS[kind], op)


@workload("pool_last", kind=["max2", "avg2", "avg3s2p1"], channels=list(LAST), op=["forward"])
def pool_last(torch, ctx, kind, channels, op):
    x = ctx.t(normal("pool_x", *LAST[channels])).to(memory_format=torch.channels_last)
    return passes(torch, x, KINDS[kind], op)


@workload("pool_other", kind=list(OTHERS), op=PASSES)
def pool_other(torch, ctx, kind, op):
    shape, function = OTHERS[kind]
    return passes(torch, ctx.t(normal("pool_x", *shape)), function, op)
