"""Pooling, forward and backward: with and without overlap, one to three axes, adaptive."""

from ._common import Work, normal, workload

# shape of the input, function, arguments
POOLS = {
    "max2": ((4, 64, 56, 56), "max_pool2d", (2,)),
    "max3s2": ((4, 64, 112, 112), "max_pool2d", (3, 2, 1)),
    "avg2": ((4, 64, 56, 56), "avg_pool2d", (2,)),
    "avg3s1": ((4, 64, 56, 56), "avg_pool2d", (3, 1, 1)),
    "global_avg": ((32, 64, 56, 56), "adaptive_avg_pool2d", (1,)),
    "adaptive_avg": ((4, 64, 56, 56), "adaptive_avg_pool2d", (7,)),
    "adaptive_max": ((4, 64, 56, 56), "adaptive_max_pool2d", (7,)),
    "max1d": ((8, 64, 1000), "max_pool1d", (2,)),
    "max3d": ((2, 16, 16, 32, 32), "max_pool3d", (2,)),
    "avg3d": ((2, 16, 16, 32, 32), "avg_pool3d", (2,)),
}


@workload("pooling", kind=list(POOLS), op=["forward", "backward"])
def pooling(torch, ctx, kind, op):
    shape, function, arguments = POOLS[kind]
    pool = getattr(torch.nn.functional, function)
    x = ctx.t(normal("pool_x", *shape), grad=op == "backward")
    y = pool(x, *arguments)
    g = ctx.t(normal("pool_g", *y.shape))

    def forward():
        with torch.no_grad():
            return pool(x, *arguments)

    def backward():
        return torch.autograd.grad(y, x, g, retain_graph=True)[0]

    step = forward if op == "forward" else backward
    return Work(step, check_steps=1, outputs=lambda: {"out": step().numpy()})
