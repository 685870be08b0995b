"""The tutorial's two-layer net: with raw tensors and autograd, and with nn + Adam."""

from ._common import Work, normal, workload

N, DIN, H, DOUT = 64, 1000, 100, 10
FLOPS = 2 * N * (2 * DIN * H + 3 * H * DOUT)  # no gradient for x


@workload("two_layer_raw", group="two_layer")
def two_layer_raw(torch, ctx):
    x, y = ctx.t(normal("tl_x", N, DIN)), ctx.t(normal("tl_y", N, DOUT))
    w1 = ctx.t(normal("tl_w1", DIN, H), grad=True)
    w2 = ctx.t(normal("tl_w2", H, DOUT), grad=True)
    lr = ctx.lr(1e-6)

    def forward(x, w1, w2, y):
        return (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()

    forward = ctx.compile(forward)

    def step():
        loss = forward(x, w1, w2, y)
        loss.backward()
        with torch.no_grad():
            w1.sub_(lr * w1.grad)
            w2.sub_(lr * w2.grad)
            w1.grad.zero_()
            w2.grad.zero_()
        return loss.item()

    return Work(
        step,
        samples=N,
        flops=FLOPS,
        outputs=lambda: {"w1": w1.detach().numpy(), "w2": w2.detach().numpy()},
    )


@workload("two_layer_nn_adam", group="two_layer")
def two_layer_nn_adam(torch, ctx):
    nn = torch.nn
    x, y = ctx.t(normal("tl_x", N, DIN)), ctx.t(normal("tl_y", N, DOUT))
    model = ctx.load(nn.Sequential(nn.Linear(DIN, H), nn.ReLU(), nn.Linear(H, DOUT)), "two_layer")
    loss_fn = nn.MSELoss(reduction="sum")
    opt = torch.optim.Adam(model.parameters(), lr=ctx.lr(1e-4))
    net = ctx.compile(model)
    opt_step = ctx.compile(opt.step)

    def step():
        loss = loss_fn(net(x), y)
        opt.zero_grad()
        loss.backward()
        opt_step()
        return loss.item()

    return Work(step, samples=N, flops=FLOPS, outputs=ctx.small_params(model, 200000))
