"""Automatic differentiation: from the 2×2 example to a function with a gradient of its own."""

import torch

torch.manual_seed(0)

# ---- the 2×2 example: d(mean(3 (x + 2)²)) / dx = 4.5 ----

x = torch.ones(2, 2, requires_grad=True)
print(x)
y = x + 2
print(y)
print(type(y.grad_fn).__name__)
z = y * y * 3
out = z.mean()
print(z, out)
out.backward()
print(x.grad)

# ---- requires_grad_ changes a tensor in place ----

a = torch.randn(2, 2)
a = (a * 3) / (a - 1)
print(a.requires_grad)
a.requires_grad_(True)
print(a.requires_grad)
b = (a * a).sum()
print(type(b.grad_fn).__name__)

# ---- a vector: backward wants the gradient of the result ----

x = torch.randn(3, requires_grad=True)
y = x * 2
while y.data.norm() < 1000:
    y = y * 2
print(y)
v = torch.tensor([0.1, 1.0, 0.0001], dtype=torch.float)
y.backward(v)
print(x.grad)

a = torch.tensor([2.0, 3.0], requires_grad=True)
b = torch.tensor([6.0, 4.0], requires_grad=True)
Q = 3 * a**3 - b**2
print(Q)
Q.backward(gradient=torch.tensor([1.0, 1.0]))
print(9 * a**2 == a.grad)
print(-2 * b == b.grad)

# ---- names of the recorded operations ----

s = torch.ones(2, requires_grad=True)
for result in (s + 1, s - 1, s * 2, s / 2, s**2, s.sum(), s.mean(), s.exp(), -s, s.relu()):
    print(type(result.grad_fn).__name__, end=" ")
print()

# ---- switching the tape off ----

print(x.requires_grad)
print((x**2).requires_grad)
with torch.no_grad():
    print((x**2).requires_grad)
print(x.detach().requires_grad, x.eq(x.detach()).all())

# ---- frozen tensors ----

x, y = torch.rand(5, 5), torch.rand(5, 5)
z = torch.rand((5, 5), requires_grad=True)
print(f"Does `a` require gradients? : {(x + y).requires_grad}")
print(f"Does `b` require gradients?: {(x + z).requires_grad}")


# ---- an operation with its own backward, trained in the two-layer loop ----


class MyReLU(torch.autograd.Function):
    """max(x, 0), with the slope written by hand."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


N, D_in, H, D_out = 64, 1000, 100, 10
x, y = torch.randn(N, D_in), torch.randn(N, D_out)
w1 = torch.randn(D_in, H, requires_grad=True)
w2 = torch.randn(H, D_out, requires_grad=True)
learning_rate = 1e-6
for t in range(500):
    relu = MyReLU.apply
    y_pred = relu(x.mm(w1)).mm(w2)
    loss = (y_pred - y).pow(2).sum()
    if t % 100 == 99:
        print(t, f"{loss.item():.4g}")
    loss.backward()
    with torch.no_grad():
        w1 -= learning_rate * w1.grad
        w2 -= learning_rate * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()
