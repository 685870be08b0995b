"""ResNet-18: inference of one image, training step of 16 images, at 64 and 224 pixels."""

from ._common import Work, integers, normal, workload
from ._models import resnet18, resnet18_flops


@workload("resnet18_infer", group="resnet18", B=[1], px=[64, 224])
def resnet18_infer(torch, ctx, B, px):
    model = ctx.load(resnet18(torch), "resnet18").eval()
    x = ctx.t(normal("resnet_x", B, 3, px, px))
    net = ctx.compile(model)
    last = {}

    def step():
        with torch.no_grad():
            last["out"] = out = net(x)
        return out

    return Work(
        step,
        samples=B,
        flops=B * resnet18_flops(px)[0],
        check_steps=1,
        outputs=lambda: {"out": last["out"].numpy()},
    )


@workload("resnet18_train", group="resnet18", B=[16], px=[64, 224])
def resnet18_train(torch, ctx, B, px):
    model = ctx.load(resnet18(torch), "resnet18").train()
    criterion = torch.nn.CrossEntropyLoss()
    opt = torch.optim.SGD(model.parameters(), lr=ctx.lr(0.01), momentum=0.9, weight_decay=1e-4)
    x = ctx.t(normal("resnet_x", B, 3, px, px))
    y = ctx.t(integers("resnet_y", 1000, B))
    net = ctx.compile(model)

    def step():
        loss = criterion(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss.item()

    return Work(
        step,
        samples=B,
        flops=B * resnet18_flops(px)[1],
        check_steps=2,
        outputs=lambda: {
            "bn1.running_mean": model.bn1.running_mean.numpy(),
            "fc.bias": model.fc.bias.detach().numpy(),
        },
        tol=(5e-3, 1e-4),
    )
