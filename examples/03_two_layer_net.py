"""A network of two layers (64 samples, 1000 → 100 → 10), trained in four ways."""

import torch

N, D_in, H, D_out = 64, 1000, 100, 10
STEPS = 500


def report(t, loss):
    if t % 100 == 99:
        print(t, f"{loss.item():.4g}")


def raw_tensors():
    """Weights are plain tensors; the update is written by hand."""
    x, y = torch.randn(N, D_in), torch.randn(N, D_out)
    w1 = torch.randn(D_in, H, requires_grad=True)
    w2 = torch.randn(H, D_out, requires_grad=True)
    learning_rate = 1e-6
    for t in range(STEPS):
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        report(t, loss)
        loss.backward()
        with torch.no_grad():
            w1 -= learning_rate * w1.grad
            w2 -= learning_rate * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()


def two_layers():
    return torch.nn.Sequential(
        torch.nn.Linear(D_in, H),
        torch.nn.ReLU(),
        torch.nn.Linear(H, D_out),
    )


def with_nn():
    """Layers and a loss from nn; still no optimizer."""
    x, y = torch.randn(N, D_in), torch.randn(N, D_out)
    model = two_layers()
    print(model)
    loss_fn = torch.nn.MSELoss(reduction="sum")
    learning_rate = 1e-4
    for t in range(STEPS):
        loss = loss_fn(model(x), y)
        if t == 0:
            print(t, loss)
        report(t, loss)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for param in model.parameters():
                param -= learning_rate * param.grad


def with_adam():
    """Layers, a loss and an optimizer."""
    x, y = torch.randn(N, D_in), torch.randn(N, D_out)
    model = two_layers()
    loss_fn = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for t in range(STEPS):
        loss = loss_fn(model(x), y)
        report(t, loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class MyReLU(torch.autograd.Function):
    """max(x, 0), with the slope written by hand."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * (input >= 0)


def with_own_function():
    """The raw network with a function of our own in the middle."""
    x, y = torch.randn(N, D_in), torch.randn(N, D_out)
    w1 = torch.randn(D_in, H, requires_grad=True)
    w2 = torch.randn(H, D_out, requires_grad=True)
    for t in range(STEPS):
        loss = (MyReLU.apply(x.mm(w1)).mm(w2) - y).pow(2).sum()
        report(t, loss)
        loss.backward()
        with torch.no_grad():
            for w in (w1, w2):
                w -= 1e-6 * w.grad
                w.grad = None


for way in (raw_tensors, with_nn, with_adam, with_own_function):
    torch.manual_seed(0)
    print(f"-- {way.__name__}")
    way()
