"""Every distinct convolution of ResNet-18, one pass at a time: forward, and each gradient alone."""

from ._common import Work, normal, workload

# channels, image, outputs, kernel, stride, padding
LAYERS = {
    "stem": (3, 224, 64, 7, 2, 3),
    "64x56": (64, 56, 64, 3, 1, 1),
    "64x56s2": (64, 56, 128, 3, 2, 1),
    "64x56s2k1": (64, 56, 128, 1, 2, 0),
    "128x28": (128, 28, 128, 3, 1, 1),
    "128x28s2": (128, 28, 256, 3, 2, 1),
    "256x14": (256, 14, 256, 3, 1, 1),
    "256x14s2": (256, 14, 512, 3, 2, 1),
    "512x7": (512, 7, 512, 3, 1, 1),
    "256x56k1": (256, 56, 64, 1, 1, 0),
}


@workload("conv_layer", layer=list(LAYERS), B=[1, 16], op=["forward", "dx", "dw"])
def conv_layer(torch, ctx, layer, B, op):
    channels, size, outputs, kernel, stride, padding = LAYERS[layer]
    conv = torch.nn.functional.conv2d
    x = ctx.t(normal("layer_x", B, channels, size, size), grad=op == "dx")
    weight = ctx.t(0.1 * normal("layer_w", outputs, channels, kernel, kernel), grad=op == "dw")
    y = conv(x, weight, stride=stride, padding=padding)
    g = ctx.t(normal("layer_g", *y.shape))

    def forward():
        with torch.no_grad():
            return conv(x, weight, stride=stride, padding=padding)

    def gradient():
        (result,) = torch.autograd.grad(y, x if op == "dx" else weight, g, retain_graph=True)
        return result

    step = forward if op == "forward" else gradient
    flops = 2 * B * outputs * y.shape[2] * y.shape[3] * channels * kernel * kernel
    return Work(
        step, flops=flops, check_steps=1, outputs=lambda: {"out": step().numpy()}, tol=(1e-3, 2e-5)
    )
