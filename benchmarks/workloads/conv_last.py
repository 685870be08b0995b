"""Channels-last convolutions of ResNets and MobileNets, one pass at a time, and small networks."""

from ._common import Work, integers, normal, workload

# channels, image, outputs, kernel, stride, groups; padding is half the kernel
LAYERS = {
    "64x28": (64, 28, 64, 3, 1, 1),
    "64x56": (64, 56, 64, 3, 1, 1),
    "128x28": (128, 28, 128, 3, 1, 1),
    "512x7": (512, 7, 512, 3, 1, 1),
    "64x56s2": (64, 56, 128, 3, 2, 1),
    "256x14s2": (256, 14, 512, 3, 2, 1),
    "256x28k1": (256, 28, 64, 1, 1, 1),
    "512x7k1": (512, 7, 2048, 1, 1, 1),
    "64x56k1s2": (64, 56, 128, 1, 2, 1),
    "stem": (3, 112, 64, 7, 2, 1),
    "stem3": (3, 112, 32, 3, 2, 1),
    "depthwise32x56": (32, 56, 32, 3, 1, 32),
    "depthwise64x56s2": (64, 56, 64, 3, 2, 64),
    "depthwise512x14": (512, 14, 512, 3, 1, 512),
    "depthwise96x28k5": (96, 28, 96, 5, 1, 96),
}
# ResNeXt-50's layers of 32 groups, and last layers that make images
FEW = {
    "groups128x56": (128, 56, 128, 3, 1, 32),
    "groups256x28": (256, 28, 256, 3, 1, 32),
    "groups512x14": (512, 14, 512, 3, 1, 32),
    "groups1024x7": (1024, 7, 1024, 3, 1, 32),
    "image64x64": (64, 64, 3, 3, 1, 1),
    "mask64x128k1": (64, 128, 1, 1, 1, 1),
}
PASSES = ["forward", "dx", "dw"]


def passes(torch, ctx, layer, B, op, memory_format):
    channels, size, outputs, kernel, stride, groups = {**LAYERS, **FEW}[layer]
    arguments = {"stride": stride, "padding": kernel // 2, "groups": groups}
    conv = torch.nn.functional.conv2d
    x = ctx.t(normal("last_x", B, channels, size, size))
    weight = ctx.t(0.1 * normal("last_w", outputs, channels // groups, kernel, kernel))
    x, weight = (t.contiguous(memory_format=memory_format) for t in (x, weight))
    x.requires_grad_(op == "dx")
    weight.requires_grad_(op == "dw")
    y = conv(x, weight, **arguments)
    g = ctx.t(normal("last_g", *y.shape)).contiguous(memory_format=memory_format)

    def forward():
        with torch.no_grad():
            return conv(x, weight, **arguments)

    def gradient():
        (result,) = torch.autograd.grad(y, x if op == "dx" else weight, g, retain_graph=True)
        return result

    step = forward if op == "forward" else gradient
    flops = 2 * y.numel() * weight[0].numel()

    def numbers():
        return {"out": step().contiguous().numpy()}

    return Work(step, flops=flops, check_steps=1, outputs=numbers, tol=(1e-3, 2e-5))


@workload("conv_last", layer=list(LAYERS), B=[1, 16], op=PASSES)
def conv_last(torch, ctx, layer, B, op):
    return passes(torch, ctx, layer, B, op, torch.channels_last)


@workload("conv_last_few", layer=list(FEW), B=[1, 16], op=PASSES)
def conv_last_few(torch, ctx, layer, B, op):
    return passes(torch, ctx, layer, B, op, torch.channels_last)


def _resnet(torch):
    """A stem and three stages of two blocks, as ResNet-18 for images of 64 pixels."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, channels, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(channels, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            self.shortcut = nn.Identity()
            if stride != 1 or channels != outputs:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                )

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.shortcut(x))

    stages = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *[Block(*stage) for stage in stages],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def _mobilenet(torch):
    """MobileNet's separable blocks: depthwise, then 1 x 1."""
    nn = torch.nn

    def layer(channels, outputs, kernel, stride, groups):
        return [
            nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]

    layers = layer(3, 32, 3, 2, 1)
    for channels, outputs, stride in [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)]:
        layers += layer(channels, channels, 3, stride, channels)
        layers += layer(channels, outputs, 1, 1, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


NETWORKS = {"resnet": _resnet, "mobilenet": _mobilenet}


def _network(torch, ctx, net, B):
    model = ctx.load(NETWORKS[net](torch), f"last_{net}").to(memory_format=torch.channels_last)
    x = ctx.t(normal("last_images", B, 3, 64, 64))
    return model, x.contiguous(memory_format=torch.channels_last)


@workload("conv_last_infer", net=list(NETWORKS), B=[1, 16])
def conv_last_infer(torch, ctx, net, B):
    model, x = _network(torch, ctx, net, B)
    model.eval()

    def step():
        with torch.no_grad():
            return model(x)

    return Work(step, samples=B, check_steps=1, outputs=lambda: {"out": step().numpy()})


@workload("conv_last_train", net=list(NETWORKS), B=[16])
def conv_last_train(torch, ctx, net, B):
    model, x = _network(torch, ctx, net, B)
    y = ctx.t(integers("last_labels", 10, B))
    criterion = torch.nn.CrossEntropyLoss()
    opt = torch.optim.SGD(model.parameters(), lr=ctx.lr(0.01), momentum=0.9)

    def step():
        opt.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        opt.step()
        return loss.item()

    return Work(step, samples=B, check_steps=2, tol=(5e-3, 1e-4))
