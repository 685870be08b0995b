"""The CIFAR-10 tutorial's net: training step (SGD with momentum) and inference."""

from ._common import Work, integers, normal, workload
from ._models import LENET_FWD, LENET_TRAIN, lenet


@workload("lenet_train", group="lenet", B=[4, 32, 128])
def lenet_train(torch, ctx, B):
    model = ctx.load(lenet(torch), "lenet")
    criterion = torch.nn.CrossEntropyLoss()
    opt = torch.optim.SGD(model.parameters(), lr=ctx.lr(0.01), momentum=0.9)
    inputs = ctx.t(normal("cifar_x", B, 3, 32, 32))
    labels = ctx.t(integers("cifar_y", 10, B))
    net = ctx.compile(model)
    opt_step = ctx.compile(opt.step)

    def step():
        opt.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        opt_step()
        return loss.item()

    return Work(step, samples=B, flops=B * LENET_TRAIN, outputs=ctx.small_params(model, 50000))


@workload("lenet_infer", group="lenet", B=[4, 32, 128])
def lenet_infer(torch, ctx, B):
    model = ctx.load(lenet(torch), "lenet").eval()
    inputs = ctx.t(normal("cifar_x", B, 3, 32, 32))
    net = ctx.compile(model)
    last = {}

    def step():
        with torch.no_grad():
            out = net(inputs)
        last["out"] = out
        return out

    return Work(
        step,
        samples=B,
        flops=B * LENET_FWD,
        check_steps=1,
        outputs=lambda: {"out": last["out"].numpy()},
    )
