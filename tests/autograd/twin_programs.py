"""Programs over the features of the tape; each returns text that must not depend on the twin.

Run as a script, it prints one JSON object: the name of each program and what it returned. Numbers
are chosen to be exact in float32, so that kernels cannot make a difference.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
import re
import sys
import threading
import weakref
from typing import Any

import rushlight as torch


def leaf(*values: float) -> Any:
    return torch.tensor(values, requires_grad=True)


def error_of(function: Any) -> str:
    """The class and text of the exception that `function` raises."""
    try:
        function()
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        return f"{type(error).__name__}: {error} {notes}"
    return "no error"


def graph_prints() -> Any:
    w, x, b = torch.ones(3, 2, requires_grad=True), torch.ones(4, 2), leaf(1.0, 2.0, 3.0)
    y = torch.nn.functional.linear(x, w, b).relu()
    node, lines = y.grad_fn, []
    while node is not None:
        lines.append([repr(node), node.name(), repr(node.next_functions)])
        node = node.next_functions[-1][0] if node.next_functions else None
    z = leaf(2.0) * 3
    return lines, z.grad_fn._saved_other, error_of(lambda: z.grad_fn._saved_nothing)


def broadcasting_and_promotion() -> Any:
    a, b = torch.ones(2, 1, requires_grad=True), torch.ones(3, requires_grad=True)
    c = torch.ones(1, dtype=torch.float64, requires_grad=True)
    d = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    ((a * b + c) * d).sum().backward()
    return [(t.grad, t.grad.dtype, t.grad.shape) for t in (a, b, c, d)]


def views_and_in_place() -> Any:
    x = torch.arange(6.0, requires_grad=True)
    y = x * 2
    v = y.view(2, 3)
    v[0].mul_(10)
    y[5] = 1
    before = repr(v.grad_fn)
    (v * v).sum().backward()
    z = leaf(1.0, 2.0) * 1
    z += z
    z.relu_()
    z.sum().backward()
    return x.grad, before, repr(y.grad_fn), v._version, z


def in_place_errors() -> Any:
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y.add_(1)
    e = x.sqrt()
    e.mul_(2)
    return [
        error_of(lambda: x.add_(1)),
        error_of(lambda: x[0].add_(1)),
        error_of(lambda: z.sum().backward()),
        error_of(lambda: e.sum().backward()),
    ]


def hooks_in_order() -> Any:
    log: list[Any] = []
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: log.append(("leaf", g.tolist())))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("after", p.grad.tolist())))
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    y.grad_fn.register_prehook(lambda g: log.append(("pre", g[0].tolist())))
    y.grad_fn.register_hook(lambda i, o: log.append(("post", i[0].tolist(), o[0].tolist())))
    handle = y.register_hook(lambda g: log.append("removed"))
    handle.remove()
    y.grad_fn.next_functions[0][0].register_hook(lambda i, o: log.append(("node", o[0].tolist())))
    y.sum().backward()
    y2 = x + 1
    y2.grad_fn.register_hook(lambda i, o: (i[0] * 0, None))
    y2.sum().backward()
    y3 = x * 1
    y3.grad_fn.register_hook(lambda i, o: (i[0], None, None))
    y4 = x * 1
    y4.grad_fn.register_prehook(lambda o: (o[0], o[0]))
    errors = [error_of(y3.sum().backward), error_of(y4.sum().backward)]
    return log, x.grad, y.grad, errors


def freeing_and_retaining() -> Any:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    again = error_of(y.backward)
    saved = error_of(lambda: (x * x).grad_fn._saved_nothing)
    s = x.sum()
    s.backward()
    s.backward()  # only a shape was kept: nothing to free
    z = x * x
    z.sum().backward()
    return again, saved, x.grad, error_of(lambda: z.grad_fn._saved_self)


def gradients_are_nobody_elses() -> Any:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = torch.tensor([1.0, 1.0])
    (x + y).backward(g)
    g.mul_(5)
    x.grad.mul_(7)
    w = torch.ones(2, 3, requires_grad=True)
    w.t().sum().backward()
    u = torch.ones(2, 3, requires_grad=True)
    (torch.ones(4, 3) @ u.t()).sum().backward()
    return x.grad, y.grad, w.grad.is_contiguous(), u.grad, u.grad.stride(), u.grad._is_view()


def higher_orders() -> Any:
    x = leaf(1.0, 2.0)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    h.sum().backward()
    y = leaf(3.0)
    (y * y).backward(create_graph=True)
    return g, h, x.grad, y.grad, y.grad.requires_grad


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, factor: float) -> Any:
        ctx.factor = factor
        ctx.save_for_backward(x)
        return x * factor, (x > 1)

    @staticmethod
    def backward(ctx: Any, grad: Any, _: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad * ctx.factor + 0 * x, None


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, mode: str) -> Any:
        ctx.mode = mode
        return x * 1

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        if ctx.mode == "raise":
            raise ValueError("no")
        return {"count": grad, "shape": (torch.ones(5), None), "type": (3, None)}[ctx.mode]


def own_functions() -> Any:
    x = leaf(1.0, 2.0)
    out, large = Scaled.apply(x, 4.0)
    out.sum().backward()
    errors = [
        error_of(lambda mode=mode: Wrong.apply(x, mode).sum().backward())
        for mode in ("raise", "count", "shape", "type")
    ]
    return out, large, x.grad, repr(out.grad_fn), errors


def several_outputs() -> Any:
    x = torch.tensor([[1.0, 5.0], [7.0, 3.0]], requires_grad=True)
    values, indices = x.max(1)
    a, b = x.unbind(0)
    (values * 2).sum().backward()
    (a * 3).sum().backward()
    p, q = leaf(1.0), torch.tensor([2.0])
    joined = torch.cat([p, q, p])
    (joined * joined).sum().backward()
    return x.grad, indices.requires_grad, repr(b.grad_fn), b.output_nr, p.grad, q.grad


def partial_passes() -> Any:
    x, y = leaf(1.0), leaf(2.0)
    out = x * y
    (gx,) = torch.autograd.grad(out, x, retain_graph=True)
    out.backward(inputs=[y])
    unused = error_of(lambda: torch.autograd.grad(x * 2, y))
    none = torch.autograd.grad(x * 2, y, allow_unused=True)
    mid = x * 3
    (gm,) = torch.autograd.grad(mid * mid, mid)
    return gx, x.grad, y.grad, unused, none, gm


def switches() -> Any:
    x = leaf(1.0)
    seen = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
        seen += [(x * 2).requires_grad, torch.is_grad_enabled()]
    with torch.inference_mode():
        seen += [(x * 2).is_inference(), x.max(0)[0].is_inference()]
    with torch.autograd.set_grad_enabled(False):
        seen.append((x + 1).grad_fn)
    no_graph = error_of(lambda: torch.ones(1).backward())
    no_scalar = error_of(lambda: (x * leaf(1.0, 2.0)).backward())
    return seen, no_graph, no_scalar


def inference_tensors() -> Any:
    with torch.inference_mode():
        x = torch.ones(3)
        inside = (x[1:].is_inference(), x.add_(1), torch.add(x, 1, out=x))
    changes = [lambda: x.add_(1), lambda: x.zero_(), lambda: x[1:].add_(1),
               lambda: torch.add(leaf(1.0).detach(), 1, out=x)]  # fmt: skip
    kept = [lambda: leaf(1.0) * x, lambda: torch.cat([x, leaf(1.0)]).sum()]
    aliases = [x.detach(), x.data, x[1:], x.detach()[1:], torch.nn.Parameter(x, False)]
    changes += [lambda a=a: a.add_(1) for a in aliases]
    kept += [lambda a=a: leaf(1.0) * a for a in aliases]
    with torch.inference_mode(), torch.enable_grad():
        unrecorded = (leaf(1.0) * 2).requires_grad
    made = [a.is_inference() for a in aliases], unrecorded
    return inside, made, [error_of(f) for f in changes + kept], x


def anomaly_mode() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.detect_anomaly():
            x = torch.zeros(1, requires_grad=True)
            text = error_of(lambda: (x.sqrt() * 0).backward())
    return "returned nan" in text and "twin_programs.py" in text


def errors_of_shapes() -> Any:
    return error_of(lambda: leaf(1.0, 2.0, 3.0) + leaf(1.0, 2.0))


def deep_graph() -> Any:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    del y
    y = x
    for _ in range(100_000):
        y = y + 1
    del y  # freeing an unused graph must not recurse either
    return x.grad


def nested_pass() -> Any:
    x = leaf(2.0)
    inner = leaf(5.0)
    y = x * 3

    def run_another(grad: Any) -> None:
        with torch.enable_grad():
            (inner * inner).backward()

    y.register_hook(run_another)
    y.backward()
    return x.grad, inner.grad


def lifetimes() -> Any:
    x = leaf(1.0)
    y = x * 2
    y.me = y
    tensor, node = weakref.ref(y), weakref.ref(y.grad_fn)
    del y
    gc.collect()
    return tensor() is None, node() is None


def copies() -> Any:
    x = leaf(1.0, 2.0)
    x.note = "kept"
    (x * 3).sum().backward()
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    again = pickle.loads(pickle.dumps(x))
    deep.grad.mul_(2)
    same = shallow._array is x._array
    return [
        (t, t.note, t.requires_grad, t.is_leaf) for t in (shallow, deep, again)
    ], same, x.grad, deep.grad, error_of(lambda: copy.deepcopy(x * 1))  # fmt: skip


def threads_share_a_leaf() -> Any:
    x = torch.zeros(3, requires_grad=True)
    results = []

    def work() -> None:
        for _ in range(50):
            results.append(torch.autograd.grad((x + 2).sum(), x)[0].sum().item())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return len(results), set(results)


def one_step() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    y = (x + 2) * x
    handle = y.register_hook(lambda g: g * 1)
    z = y[0].relu().max(0)[0] + torch.cat([y, y]).sum()
    z.backward()
    handle.remove()
    (g,) = torch.autograd.grad((x * x).sum(), x, create_graph=True)
    g.sum().backward()
    w = x * 1
    w[0] = 3
    w.mul_(2).sum().backward()
    Scaled.apply(x.view(-1), 2.0)[0].sum().backward()
    error_of(lambda: torch.ones(2) + torch.ones(3))
    error_of(w.sum().backward)


def nothing_leaks() -> Any:
    for _ in range(50):
        one_step()
    gc.collect()
    before = len(gc.get_objects()), sys.getrefcount(torch.Tensor)
    for _ in range(1000):
        one_step()
    gc.collect()
    after = len(gc.get_objects()), sys.getrefcount(torch.Tensor)
    return all(abs(a - b) < 20 for a, b in zip(after, before)) or (before, after)


def shared_memory() -> Any:
    native, tensor = torch.autograd.inplace, torch.arange(12.0)
    square = tensor[:9].reshape(3, 3)
    others = [
        tensor, tensor[1:], tensor[:-1], tensor[:6], tensor[6:], tensor[::2], tensor[1::2],
        tensor.view(12), tensor.detach(), tensor.data, tensor[3], tensor[:0], square, square.t(),
        square[:, 1:], tensor.view(1, 12), tensor[:1].expand(12), torch.zeros(12), torch.zeros(()),
        torch.from_numpy(tensor.numpy()[1:]), tensor.double(), torch.zeros(0), 2.0,
    ]  # fmt: skip
    masks = [tensor > 5, tensor.view(torch.bool)[::4], square > 5, (tensor > 5)[:1].expand(12)]
    tables = [
        [[f(x, (y,), *kinds) for y in (*others, *masks)] for x in (*others[:-1], *masks)]
        for f, *kinds in (
            (native.is_free_target,), (native.can_write_over, "biufcV"),
            (native.can_write_over, "iu"), (native.can_write_over, "?"),
        )
    ]  # fmt: skip
    tensor.add_(1)  # views are behind, but want no gradient
    return tables, native.is_recorded((square,))


def joining() -> Any:
    a, b, none = torch.ones(2, 3), torch.zeros(2, 1), torch.empty(0)
    wide = torch.ones(2, 3, 1, requires_grad=True)
    torch.cat((wide, wide), -2).sum().backward()
    joined = [torch.cat([a, b], 1), torch.cat((b, a), -1), torch.cat([a, none, a]), wide.grad]
    wrong = [[a, b], [a], (a, wide), [a, 1], [], a, [torch.tensor(1.0)], iter([a, b]), [none, 1]]
    dims = [0, 2, 1, 0, 0, 0, 0, 0, 0]
    return joined, [error_of(lambda x=x, d=d: torch.cat(x, d)) for x, d in zip(wrong, dims)]


def results_in_empty_tensors() -> Any:
    x, outs = torch.arange(6.0).view(2, 3), []
    for operand in (x, x.t(), torch.tensor(2), x[:0]):
        for out in (torch.empty(0), torch.empty(0, 3), torch.empty(0, dtype=torch.float64)):
            shown = out.detach()
            same = torch.exp2(operand, out=out) is out
            outs.append((same, out, out.stride(), out._version, shown.shape, out.is_leaf))
    view = torch.empty(4)[:0]
    torch.neg(x, out=view)
    asked, weight = torch.empty(0, requires_grad=True), leaf(1.0)
    with torch.inference_mode():
        unversioned = torch.empty(0)
    return (
        outs,
        view,
        [
            error_of(lambda: torch.neg(x, out=asked)),
            error_of(lambda: torch.neg(weight, out=torch.empty(0))),
            error_of(lambda: torch.neg(x, out=unversioned)),
            error_of(lambda: torch.exp(x, out=torch.empty(0, dtype=torch.int64))),
        ],
    )


PROGRAMS = [
    graph_prints, broadcasting_and_promotion, views_and_in_place, in_place_errors, hooks_in_order,
    freeing_and_retaining, gradients_are_nobody_elses, higher_orders, own_functions,
    several_outputs, partial_passes, shared_memory, switches, inference_tensors, anomaly_mode,
    errors_of_shapes, deep_graph, nested_pass, lifetimes, copies,
    threads_share_a_leaf, nothing_leaks, joining, results_in_empty_tensors,
]  # fmt: skip


def main() -> None:
    texts = {p.__name__: re.sub(r"0x[0-9a-f]+", "0x…", repr(p())) for p in PROGRAMS}
    print(json.dumps({"compiled": torch.autograd.twin.native is not None, "texts": texts}))


if __name__ == "__main__":
    main()
