"""A large MLP, 1024-4096-1024, batch 256."""

from ._common import Work, normal, workload

B, D, H = 256, 1024, 4096


def _model(torch, ctx):
    nn = torch.nn
    return ctx.load(nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, D)), "mlp")


@workload("mlp_large_train", group="mlp_large")
def mlp_large_train(torch, ctx):
    model = _model(torch, ctx)
    opt = torch.optim.SGD(model.parameters(), lr=ctx.lr(0.1))
    x, y = ctx.t(normal("mlp_x", B, D)), ctx.t(normal("mlp_y", B, D))
    loss_fn = torch.nn.MSELoss()
    net = ctx.compile(model)
    opt_step = ctx.compile(opt.step)

    def step():
        opt.zero_grad()
        loss = loss_fn(net(x), y)
        loss.backward()
        opt_step()
        return loss.item()

    return Work(step, samples=B, flops=2 * B * D * H * 5, outputs=ctx.small_params(model))


@workload("mlp_large_infer", group="mlp_large")
def mlp_large_infer(torch, ctx):
    model = _model(torch, ctx).eval()
    x = ctx.t(normal("mlp_x", B, D))
    net = ctx.compile(model)
    last = {}

    def step():
        with torch.no_grad():
            last["out"] = out = net(x)
        return out

    return Work(
        step,
        samples=B,
        flops=2 * B * D * H * 2,
        check_steps=1,
        outputs=lambda: {"out": last["out"].numpy()},
    )
