"""Convolutions beside ResNet's: few channels, one per group, groups, 1, 3 and transposed axes."""

from ._common import Work, normal, workload

# shape of the input, shape of the weight, function, arguments
LAYERS = {
    "lenet1_B4": ((4, 3, 32, 32), (6, 3, 5, 5), "conv2d", {}),
    "lenet1_B32": ((32, 3, 32, 32), (6, 3, 5, 5), "conv2d", {}),
    "lenet2_B4": ((4, 6, 14, 14), (16, 6, 5, 5), "conv2d", {}),
    "lenet2_B32": ((32, 6, 14, 14), (16, 6, 5, 5), "conv2d", {}),
    "cifar_B32": ((32, 3, 32, 32), (16, 3, 3, 3), "conv2d", {"padding": 1}),
    "mnist_B64": ((64, 1, 28, 28), (32, 1, 3, 3), "conv2d", {}),
    "depthwise32x112": ((4, 32, 112, 112), (32, 1, 3, 3), "conv2d", {"padding": 1, "groups": 32}),
    "depthwise64x112s2": (
        (4, 64, 112, 112),
        (64, 1, 3, 3),
        "conv2d",
        {"padding": 1, "groups": 64, "stride": 2},
    ),
    "depthwise128x28": ((4, 128, 28, 28), (128, 1, 3, 3), "conv2d", {"padding": 1, "groups": 128}),
    "depthwise512x7": ((4, 512, 7, 7), (512, 1, 3, 3), "conv2d", {"padding": 1, "groups": 512}),
    "groups4": ((4, 64, 28, 28), (64, 16, 3, 3), "conv2d", {"padding": 1, "groups": 4}),
    "dilated": ((4, 32, 28, 28), (32, 32, 3, 3), "conv2d", {"padding": 2, "dilation": 2}),
    "channels_last": ((4, 64, 56, 56), (64, 64, 3, 3), "conv2d", {"padding": 1}),
    "conv1d_k3": ((8, 64, 1000), (64, 64, 3), "conv1d", {"padding": 1}),
    "conv1d_k9": ((8, 64, 1000), (64, 64, 9), "conv1d", {"padding": 4}),
    "conv3d": ((2, 16, 16, 16, 16), (32, 16, 3, 3, 3), "conv3d", {"padding": 1}),
    "transposed": (
        (8, 64, 16, 16),
        (64, 32, 4, 4),
        "conv_transpose2d",
        {"stride": 2, "padding": 1},
    ),
}


@workload("conv_small", layer=list(LAYERS), op=["forward", "dx", "dw"])
def conv_small(torch, ctx, layer, op):
    x_shape, w_shape, function, arguments = LAYERS[layer]
    conv = getattr(torch.nn.functional, function)

    def tensor(key, shape, wants_gradient):
        t = ctx.t(normal(key, *shape))
        if layer == "channels_last":
            t = t.to(memory_format=torch.channels_last)
        return t.requires_grad_(wants_gradient)

    x, weight = tensor("small_x", x_shape, op == "dx"), tensor("small_w", w_shape, op == "dw")
    y = conv(x, weight, **arguments)
    g = ctx.t(normal("small_g", *y.shape))

    def forward():
        with torch.no_grad():
            return conv(x, weight, **arguments)

    def gradient():
        return torch.autograd.grad(y, x if op == "dx" else weight, g, retain_graph=True)[0]

    step = forward if op == "forward" else gradient
    return Work(step, check_steps=1, outputs=lambda: {"out": step().numpy()}, tol=(1e-3, 2e-5))
