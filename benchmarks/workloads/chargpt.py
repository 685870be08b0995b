"""nanoGPT on characters: 4 layers, 4 heads, 128 wide, context 64, batch 12."""

from ._common import Work, integers, workload
from ._models import char_gpt, char_gpt_flops

V, T = 65, 64


@workload("chargpt_train", group="chargpt", B=[12])
def chargpt_train(torch, ctx, B):
    model = ctx.load(char_gpt(torch), "chargpt")
    opt = torch.optim.AdamW(
        model.parameters(), lr=ctx.lr(1e-3), betas=(0.9, 0.99), weight_decay=0.1
    )
    seq = integers("gpt", V, B, T + 1)
    x, y = ctx.t(seq[:, :-1]), ctx.t(seq[:, 1:])
    params = list(model.parameters())
    net = ctx.compile(model)
    opt_step = ctx.compile(opt.step)

    def step():
        loss = net(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt_step()
        opt.zero_grad(set_to_none=True)
        return loss.item()

    return Work(
        step,
        samples=B,
        flops=3 * char_gpt_flops(B),
        tol=(3e-3, 1e-4),
        outputs=ctx.small_params(model),
    )


@workload("chargpt_infer", group="chargpt", B=[1, 12])
def chargpt_infer(torch, ctx, B):
    """One generated token: forward over a full context, softmax of the last, argmax."""
    model = ctx.load(char_gpt(torch), "chargpt").eval()
    x = ctx.t(integers("gpt", V, B, T + 1)[:, :-1])
    net = ctx.compile(model)
    F = torch.nn.functional
    last = {}

    def step():
        with torch.no_grad():
            logits = net(x)[:, -1, :]
            probs = F.softmax(logits, dim=-1)
            nxt = torch.argmax(probs, dim=-1)
        last["probs"] = probs
        return nxt

    return Work(
        step,
        samples=B,
        flops=char_gpt_flops(B, head_T=1),
        check_steps=1,
        outputs=lambda: {"out": last["probs"].numpy()},
    )
