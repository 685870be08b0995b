"""Recurrent layers and attention over whole sequences, forward and with gradients."""

from ._common import Work, normal, workload

# hidden, batch: small ones as in a first exercise, large ones as in a language model
LAYERS = ["32x1", "32x16", "64x1", "64x16", "256x32", "512x32"]
# batch, heads, length, width
HEADS = {"small": (12, 4, 64, 32), "c512": (1, 8, 512, 64), "c1024": (1, 8, 1024, 64)}
T = 50


@workload("recurrent", kind=["LSTM", "GRU", "RNN"], mode=["fwd", "fwdbwd"], size=LAYERS)
def recurrent(torch, ctx, kind, mode, size):
    H, B = map(int, size.split("x"))
    layer = ctx.load(getattr(torch.nn, kind)(H, H), f"sequence_{kind}{H}")
    x = ctx.t(normal("sequence_x", T, B, H), grad=mode == "fwdbwd")
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    flops = 2 * B * T * gates * H * (2 * H)
    if mode == "fwd":

        def step():
            with torch.no_grad():
                return layer(x)[0]

        return Work(step, flops=flops, check_steps=1, outputs=lambda: {"out": step().numpy()})
    grad = ctx.t(normal("sequence_g", T, B, H))
    leaves = [x, *layer.parameters()]

    def step():
        for leaf in leaves:
            leaf.grad = None
        layer(x)[0].backward(grad)

    def outputs():
        return {f"grad{i}": leaf.grad.numpy() for i, leaf in enumerate(leaves)}

    return Work(step, flops=3 * flops, check_steps=1, outputs=outputs)


@workload("attention", mode=["fwd", "fwdbwd"], mask=["full", "causal"], size=list(HEADS))
def attention(torch, ctx, mode, mask, size):
    shape = HEADS[size]
    with_grad = mode == "fwdbwd"
    q, k, v = (ctx.t(normal(f"heads_{name}", *shape), grad=with_grad) for name in "qkv")
    attend = torch.nn.functional.scaled_dot_product_attention
    B, H, L, E = shape
    flops = 2 * B * H * L * L * 2 * E // (2 if mask == "causal" else 1)
    if not with_grad:

        def step():
            return attend(q, k, v, is_causal=mask == "causal")

        return Work(step, flops=flops, check_steps=1, outputs=lambda: {"out": step().numpy()})
    grad = ctx.t(normal("heads_g", *shape))

    def step():
        q.grad = k.grad = v.grad = None
        attend(q, k, v, is_causal=mask == "causal").backward(grad)

    def outputs():
        return {"q": q.grad.numpy(), "k": k.grad.numpy(), "v": v.grad.numpy()}

    return Work(step, flops=flops * 7 // 2, check_steps=1, outputs=outputs)
