"""Every elementwise, row-wise, reducing, ordering and indexing operation at three sizes.

Row operations see (10, 100), (100, 1000) and (10000, 1000); batch and group norm see images.
`sizes_bwd` is the forward and the backward pass together.
"""

import functools

from ._common import Work, integers, normal, rs, workload

SIZES = [1000, 100000, 10000000]
COMPARED = 100000  # of the largest results, this many numbers are compared


@functools.lru_cache(maxsize=4)
def _data(key, n):
    """`n` normal numbers; large arrays repeat a block, as drawing them would take seconds."""
    block = normal(key, min(n, 100003))
    import numpy as np

    return np.resize(block, n)


class _Operands:
    """Tensors of n elements: flat, as rows, as images, transposed; and indices into them."""

    def __init__(self, torch, ctx, n):
        self.torch, self.ctx, self.n = torch, ctx, n
        self.columns = 100 if n == 1000 else 1000
        self.rows = n // self.columns

    def __getattr__(self, name):
        value = getattr(self, "_" + name)()
        setattr(self, name, value)
        return value

    def _flat(self):
        return self.ctx.t(_data("sz_a", self.n))

    def _other(self):
        return self.ctx.t(_data("sz_b", self.n))

    def _third(self):
        return self.ctx.t(_data("sz_c", self.n))

    def _positive(self):
        return self.flat.abs() + 0.1

    def _probabilities(self):
        return self.flat.sigmoid()

    def _whole(self):
        return (self.flat * 3).long()

    def _mask(self):
        return self.other > 0.5

    def _table(self):
        return self.flat.view(self.rows, self.columns)

    def _table2(self):
        return self.other.view(self.rows, self.columns)

    def _square(self):
        side = int(self.n**0.5)
        return self.flat[: side * side].view(side, side)

    def _square2(self):
        side = int(self.n**0.5)
        return self.other[: side * side].view(side, side)

    def _images(self):
        shape = {1000: (2, 8, 8, 8), 100000: (8, 16, 28, 28), 10000000: (16, 64, 100, 100)}[self.n]
        count = shape[0] * shape[1] * shape[2] * shape[3]
        return self.ctx.t(_data("sz_i", count).reshape(shape))

    def _row_numbers(self):
        return self.ctx.t(integers("sz_r", self.rows, self.rows))

    def _row_order(self):
        return self.ctx.t(rs("sz_ro").permutation(self.rows).astype("int64"))

    def _positions(self):
        """For every element, a column."""
        block = integers("sz_p", self.columns, min(self.n, 100000))
        import numpy as np

        return self.ctx.t(np.resize(block, self.n).reshape(self.rows, self.columns))

    def _targets(self):
        return self.ctx.t(integers("sz_t", self.columns, self.rows))

    def _column_numbers(self):
        return self.ctx.t(rs("sz_cn").permutation(self.columns).astype("int64"))

    def _total(self):
        return self.torch.zeros(self.rows, self.columns)


def F(torch):
    return torch.nn.functional


POINTWISE = {
    "add": lambda t, c: c.flat + c.other,
    "add_scalar": lambda t, c: c.flat + 1.5,
    "add_out": lambda t, c: t.add(c.flat, c.other, out=c.third),
    "exp": lambda t, c: c.flat.exp(),
    "log": lambda t, c: c.positive.log(),
    "sqrt": lambda t, c: c.positive.sqrt(),
    "tanh": lambda t, c: c.flat.tanh(),
    "sigmoid": lambda t, c: c.flat.sigmoid(),
    "erf": lambda t, c: c.flat.erf(),
    "relu": lambda t, c: c.flat.relu(),
    "silu": lambda t, c: F(t).silu(c.flat),
    "gelu": lambda t, c: F(t).gelu(c.flat),
    "gelu_tanh": lambda t, c: F(t).gelu(c.flat, approximate="tanh"),
    "clamp": lambda t, c: c.flat.clamp(-0.5, 0.5),
    "maximum": lambda t, c: t.maximum(c.flat, c.other),
    "addcmul": lambda t, c: t.addcmul(c.flat, c.other, c.third, value=0.5),
    "addcdiv": lambda t, c: t.addcdiv(c.flat, c.other, c.positive, value=0.5),
    "lerp": lambda t, c: t.lerp(c.flat, c.other, 0.3),
    "where": lambda t, c: t.where(c.mask, c.flat, c.other),
    "masked_fill": lambda t, c: c.flat.masked_fill(c.mask, 0.0),
    "compare": lambda t, c: c.flat > c.other,
    "to_float64": lambda t, c: c.flat.to(t.float64),
}
STRIDED = {
    "add_row": lambda t, c: c.table + c.other[: c.columns],
    "add_column": lambda t, c: c.table + c.other[: c.rows].view(-1, 1),
    "add_step": lambda t, c: c.table[:, ::2] + c.table2[:, ::2],
    "add_transposed": lambda t, c: c.square.t() + c.square2.t(),
    "add_mixed": lambda t, c: c.square + c.square2.t(),
    "exp_transposed": lambda t, c: c.square.t().exp(),
    "where_row": lambda t, c: t.where(c.mask.view(c.rows, c.columns), c.table, c.other[:1]),
    "addcmul_row": lambda t, c: t.addcmul(c.table, c.table2, c.other[: c.columns]),
}
ROWS = {
    "softmax": lambda t, c: t.softmax(c.table, dim=1),
    "log_softmax": lambda t, c: t.log_softmax(c.table, dim=1),
    "softmax_dim0": lambda t, c: t.softmax(c.table, dim=0),
    "cross_entropy": lambda t, c: F(t).cross_entropy(c.table, c.targets),
    "logsumexp": lambda t, c: t.logsumexp(c.table, dim=1),
    "layer_norm": lambda t, c: F(t).layer_norm(c.table, (c.columns,)),
    "rms_norm": lambda t, c: F(t).rms_norm(c.table, (c.columns,)),
    "batch_norm": lambda t, c: F(t).batch_norm(c.images, None, None, training=True),
    "group_norm": lambda t, c: F(t).group_norm(c.images, 4),
    "sum": lambda t, c: c.flat.sum(),
    "sum_dim0": lambda t, c: c.table.sum(0),
    "sum_dim1": lambda t, c: c.table.sum(1),
    "sum_middle": lambda t, c: c.images.sum((0, 2, 3)),
    "mean_dim1": lambda t, c: c.table.mean(1),
    "max_dim1": lambda t, c: c.table.max(dim=1)[0],
    "amax_dim0": lambda t, c: c.table.amax(0),
    "argmax_dim1": lambda t, c: c.table.argmax(1),
    "var_dim0": lambda t, c: c.table.var(0),
    "var_dim1": lambda t, c: c.table.var(1),
    "norm": lambda t, c: c.flat.norm(),
    "cumsum": lambda t, c: c.table.cumsum(1),
    "cumsum_dim0": lambda t, c: c.table.cumsum(0),
    "cumprod": lambda t, c: c.table.cumprod(1),
    "sort": lambda t, c: c.table.sort(dim=1)[0],
    "topk": lambda t, c: c.table.topk(5, dim=1)[0],
}
INDEXED = {
    "embedding": lambda t, c: F(t).embedding(c.row_numbers, c.table),
    "index_rows": lambda t, c: c.table[c.row_numbers],
    "index_columns": lambda t, c: c.table[:, c.column_numbers],
    "gather": lambda t, c: t.gather(c.table, 1, c.positions),
    "scatter": lambda t, c: c.total.scatter_(1, c.positions, 1.0),
    "scatter_add": lambda t, c: c.total.scatter_add_(1, c.positions, c.table),
    "index_add": lambda t, c: c.total.index_add_(0, c.row_numbers, c.table),
    "index_put": lambda t, c: _put(c),
    "masked_select": lambda t, c: c.flat[c.mask],
    "cat": lambda t, c: t.cat([c.table, c.table2]),
    "cat_dim1": lambda t, c: t.cat([c.table, c.table2], dim=1),
    "stack": lambda t, c: t.stack([c.flat, c.other]),
    "clone": lambda t, c: c.flat.clone(),
    "transpose_copy": lambda t, c: c.square.t().contiguous(),
    "permute_copy": lambda t, c: c.images.permute(0, 2, 3, 1).contiguous(),
    "slice_copy": lambda t, c: c.table[:, ::2].contiguous(),
}
WRITING = {
    "abs_": lambda t, c: c.flat.abs_(),
    "neg_": lambda t, c: c.flat.neg_(),
    "relu_": lambda t, c: c.flat.relu_(),
    "clamp_": lambda t, c: c.flat.clamp_(-0.5, 0.5),
    "mul_": lambda t, c: c.flat.mul_(1.0),
    "div_": lambda t, c: c.flat.div_(1.0),
    "sqrt_": lambda t, c: c.positive.sqrt_(),
    "reciprocal_": lambda t, c: c.positive.reciprocal_(),
    "sigmoid_": lambda t, c: c.flat.sigmoid_(),
    "floor_": lambda t, c: c.flat.floor_(),
    "leaky_relu_": lambda t, c: F(t).leaky_relu_(c.flat, 0.9),
    "elu_": lambda t, c: F(t).elu_(c.flat),
    "threshold_": lambda t, c: F(t).threshold_(c.flat, 0.1, 0.2),
    "hardswish_": lambda t, c: F(t).hardswish(c.flat, inplace=True),
    "mish_": lambda t, c: F(t).mish(c.flat, inplace=True),
    "nan_to_num_": lambda t, c: c.flat.nan_to_num_(),
    "remainder_": lambda t, c: c.flat.remainder_(c.positive),
    "floor_divide_": lambda t, c: c.flat.floor_divide_(1.0),
    "xlogy_": lambda t, c: c.flat.xlogy_(c.positive),
    "atan2_": lambda t, c: c.flat.atan2_(c.other),
    "clamp_tensor_": lambda t, c: c.flat.clamp_(max=c.other),
    "clamp_whole_": lambda t, c: c.whole.clamp_(-1, 1),
    "exp_resized": lambda t, c: t.exp(c.flat, out=t.empty(0)),
    "exp_out": lambda t, c: t.exp(c.flat, out=c.third),
    "sigmoid_out": lambda t, c: t.sigmoid(c.flat, out=c.third),
    "neg_out": lambda t, c: t.neg(c.flat, out=c.third),
    "floor_out": lambda t, c: t.floor(c.flat, out=c.third),
    "clamp_out": lambda t, c: t.clamp(c.flat, -0.5, 0.5, out=c.third),
    "pow_out": lambda t, c: t.pow(c.flat, 2, out=c.third),
    "maximum_out": lambda t, c: t.maximum(c.flat, c.other, out=c.third),
    "compare_out": lambda t, c: t.gt(c.flat, c.other, out=c.mask),
}
RANDOM = {
    "rand": lambda t, c: t.rand(c.n),
    "randn": lambda t, c: t.randn(c.n),
    "bernoulli": lambda t, c: t.bernoulli(c.probabilities),
    "dropout": lambda t, c: F(t).dropout(c.flat, 0.3, training=True),
}


def _put(c):
    c.total[c.row_order] = c.table
    return c.total


def _compared(result):
    return {"out": result.detach().reshape(-1)[:COMPARED].numpy().copy()}


def _forward(torch, ctx, op, n):
    f, c = FORWARD[op], _Operands(torch, ctx, n)

    def step():
        with torch.no_grad():
            return f(torch, c)

    return Work(step, samples=n, check_steps=0, outputs=lambda: _compared(step()))


FORWARD = {**POINTWISE, **STRIDED, **ROWS, **INDEXED, **WRITING, **RANDOM}
for _kind, _ops in [("pointwise", POINTWISE), ("strided", STRIDED), ("rows", ROWS),
                    ("indexed", INDEXED), ("writing", WRITING), ("random", RANDOM)]:  # fmt: skip
    workload(f"sizes_{_kind}", op=list(_ops), n=SIZES)(_forward)

BACKWARD = {
    "softmax": lambda t, x, c: t.softmax(x, dim=1),
    "log_softmax": lambda t, x, c: t.log_softmax(x, dim=1),
    "cross_entropy": lambda t, x, c: F(t).cross_entropy(x, c.targets),
    "layer_norm": lambda t, x, c: F(t).layer_norm(x, (c.columns,), c.weight, c.bias),
    "rms_norm": lambda t, x, c: F(t).rms_norm(x, (c.columns,), c.weight),
    "batch_norm": lambda t, x, c: F(t).batch_norm(
        x, None, None, c.channel_weight, c.channel_bias, training=True
    ),
    "group_norm": lambda t, x, c: F(t).group_norm(x, 4, c.channel_weight, c.channel_bias),
    "exp": lambda t, x, c: x.exp(),
    "tanh": lambda t, x, c: x.tanh(),
    "sigmoid": lambda t, x, c: x.sigmoid(),
    "erf": lambda t, x, c: x.erf(),
    "relu": lambda t, x, c: x.relu(),
    "silu": lambda t, x, c: F(t).silu(x),
    "gelu": lambda t, x, c: F(t).gelu(x),
    "dropout": lambda t, x, c: F(t).dropout(x, 0.3, training=True),
    "embedding": lambda t, x, c: F(t).embedding(c.row_numbers, x),
    "gather": lambda t, x, c: t.gather(x, 1, c.positions),
    "cumsum": lambda t, x, c: x.cumsum(1),
    "sum_dim1": lambda t, x, c: x.sum(1),
    "add_row": lambda t, x, c: x + c.weight,
}


@workload("sizes_bwd", op=list(BACKWARD), n=SIZES)
def sizes_bwd(torch, ctx, op, n):
    f, c = BACKWARD[op], _Operands(torch, ctx, n)
    x = (c.images if op in ("batch_norm", "group_norm") else c.table).requires_grad_(True)
    channels = x.shape[1]
    c.weight = ctx.t(normal("sz_w", c.columns), grad=True)
    c.bias = ctx.t(normal("sz_bias", c.columns), grad=True)
    c.channel_weight = ctx.t(normal("sz_cw", channels), grad=True)
    c.channel_bias = ctx.t(normal("sz_cb", channels), grad=True)
    g = torch.ones_like(f(torch, x, c).detach()) if op != "cross_entropy" else torch.tensor(1.0)
    g = g * ctx.t(_data("sz_g", g.numel())).view(g.shape) if g.dim() else g
    leaves = [x, c.weight, c.bias, c.channel_weight, c.channel_bias]
    if hasattr(torch, "manual_seed"):
        torch.manual_seed(0)

    def step():
        for leaf in leaves:
            leaf.grad = None
        f(torch, x, c).backward(g)

    def outputs():
        step()
        grads = [leaf.grad for leaf in leaves if leaf.grad is not None]
        return {f"g{i}": _compared(grad)["out"] for i, grad in enumerate(grads)}

    return Work(step, samples=n, check_steps=0, outputs=outputs)
