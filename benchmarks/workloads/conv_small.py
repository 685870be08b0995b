"""Convolutions of small networks and of the special kinds, one pass at a time.

LeNet's layers, depthwise and grouped ones, dilation, one and three axes, transposed, and a
channels-last layer. `dx` and `dw` are one gradient alone.
"""

from ._common import Work, normal, workload

# input shape, weight shape, arguments of the convolution
LENET = {
    "conv1": ((3, 32, 32), (6, 3, 5, 5), {}),
    "conv2": ((6, 14, 14), (16, 6, 5, 5), {}),
}
KINDS = {
    "mnist": ((32, 1, 28, 28), (32, 1, 3, 3), {}),
    "cifar": ((32, 3, 32, 32), (16, 3, 3, 3), {"padding": 1}),
    "depthwise32x112": ((1, 32, 112, 112), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    "depthwise128x56s2": (
        (1, 128, 56, 56), (128, 1, 3, 3), {"padding": 1, "stride": 2, "groups": 128},
    ),
    "depthwise256x28": ((4, 256, 28, 28), (256, 1, 3, 3), {"padding": 1, "groups": 256}),
    "depthwise512x14": ((4, 512, 14, 14), (512, 1, 3, 3), {"padding": 1, "groups": 512}),
    "depthwise512x14s2": (
        (4, 512, 14, 14), (512, 1, 3, 3), {"padding": 1, "stride": 2, "groups": 512},
    ),
    "depthwise512x7": ((4, 512, 7, 7), (512, 1, 3, 3), {"padding": 1, "groups": 512}),
    "depthwise96x28k5": ((4, 96, 28, 28), (96, 1, 5, 5), {"padding": 2, "groups": 96}),
    "groups8": ((1, 128, 28, 28), (128, 16, 3, 3), {"padding": 1, "groups": 8}),
    "groups32": ((1, 128, 28, 28), (128, 4, 3, 3), {"padding": 1, "groups": 32}),
    "dilated": ((1, 64, 28, 28), (64, 64, 3, 3), {"padding": 2, "dilation": 2}),
    "k5": ((2, 64, 28, 28), (64, 64, 5, 5), {"padding": 2}),
    "1d_k3": ((2, 64, 1000), (64, 64, 3), {"padding": 1}),
    "1d_k9": ((2, 64, 1000), (64, 64, 9), {"padding": 4}),
    "3d": ((1, 16, 16, 16, 16), (32, 16, 3, 3, 3), {"padding": 1}),
    "transposed": ((2, 64, 16, 16), (64, 32, 4, 4), {"padding": 1, "stride": 2}),
    "channels_last": ((1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
}  # fmt: skip
PASSES = ["forward", "dx", "dw"]


def passes(torch, ctx, kind, shape, weight_shape, arguments, op):
    functional = torch.nn.functional
    convs = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}
    conv = functional.conv_transpose2d if kind == "transposed" else convs[len(shape)]
    x = ctx.t(normal("small_x", *shape))
    weight = ctx.t(0.1 * normal("small_w", *weight_shape))
    if kind == "channels_last":
        x = x.to(memory_format=torch.channels_last)
        weight = weight.to(memory_format=torch.channels_last)
    x.requires_grad_(op == "dx")
    weight.requires_grad_(op == "dw")
    y = conv(x, weight, **arguments)
    g = ctx.t(normal("small_g", *y.shape))

    def forward():
        with torch.no_grad():
            return conv(x, weight, **arguments)

    def gradient():
        (result,) = torch.autograd.grad(y, x if op == "dx" else weight, g, retain_graph=True)
        return result

    step = forward if op == "forward" else gradient
    pixels = x if kind == "transposed" else y
    flops = 2 * pixels.numel() * weight[0].numel()
    return Work(
        step, flops=flops, check_steps=1, outputs=lambda: {"out": step().numpy()}, tol=(1e-3, 2e-5)
    )


@workload("conv_lenet", layer=list(LENET), B=[4, 32, 128], op=PASSES)
def conv_lenet(torch, ctx, layer, B, op):
    shape, weight, arguments = LENET[layer]
    return passes(torch, ctx, layer, (B, *shape), weight, arguments, op)


@workload("conv_small", kind=list(KINDS), op=PASSES)
def conv_small(torch, ctx, kind, op):
    return passes(torch, ctx, kind, *KINDS[kind], op)
