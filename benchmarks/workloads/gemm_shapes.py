"""Matrix products of many shapes, layouts and types: small nets' layers, skinny, square, batched.

A shape is MxNxK. In a layout such as NT the second letter says that the right operand is the
transposed view of an N x K matrix, as a linear layer's weight is; TN is a weight's gradient.
The last four are a recurrent layer's weight gradients and products of a small transformer.
"""

from ._common import Work, integers, normal, workload

PRODUCTS = [
    "NN_4x120x400", "NT_4x120x400", "NT_16x120x400", "NT_32x120x400", "NT_1x1000x512",
    "NN_64x100x1000", "NT_64x100x1000", "TN_1000x100x64", "TN_100x1000x64",
    "NN_32x32x32", "NN_64x64x64", "NT_64x64x64", "TN_64x64x64", "TT_64x64x64", "NN_96x96x96",
    "NN_128x128x128", "NT_128x128x128", "TN_128x128x128", "NN_192x192x192",
    "NN_256x256x256", "NT_256x256x256", "TN_256x256x256", "TT_256x256x256",
    "NN_1024x1024x1024", "NT_1024x1024x1024", "TN_1024x1024x1024",
    "NN_14x1024x1024", "NT_14x1024x1024", "NN_32x1000x512", "NT_32x1000x512",
    "NN_16x150x12800", "NT_16x150x12800", "TN_150x12800x16", "NN_4096x64x64", "NT_768x512x128",
    "TN_256x64x800", "TN_1024x256x1600", "NN_768x128x512", "NT_768x65x128",
]  # fmt: skip
VECTORS = ["N_1024x1024", "T_1024x1024", "N_100x10000", "T_100x10000", "row_1024x1024"]
OTHERS = ["NN_64x64x64", "NN_256x256x256", "NT_64x100x1000", "TN_1000x100x64", "NT_4x120x400"]


def parse(shape):
    layout, sizes = shape.split("_")
    return layout, *map(int, sizes.split("x"))


def operands(torch, ctx, shape, convert=lambda x: x):
    layout, M, N, K = parse(shape)
    a = convert(ctx.t(normal("gemm_a", *((K, M) if layout[0] == "T" else (M, K)))))
    b = convert(ctx.t(normal("gemm_b", *((N, K) if layout[1] == "T" else (K, N)))))
    return a.t() if layout[0] == "T" else a, b.t() if layout[1] == "T" else b


def product(step, flops, tol=(1e-4, 1e-5)):
    return Work(step, flops=flops, check_steps=1, tol=tol, outputs=lambda: {"out": step().numpy()})


def flops(shape):
    _, M, N, K = parse(shape)
    return 2 * M * N * K


@workload("gemm_f32", shape=PRODUCTS)
def gemm_f32(torch, ctx, shape):
    a, b = operands(torch, ctx, shape)
    return product(lambda: torch.mm(a, b), flops(shape))


@workload("gemm_f64", shape=OTHERS)
def gemm_f64(torch, ctx, shape):
    a, b = operands(torch, ctx, shape, lambda x: x.double())
    return product(lambda: torch.mm(a, b), flops(shape))


@workload("gemm_half", dtype=["float16", "bfloat16"], shape=OTHERS)
def gemm_half(torch, ctx, dtype, shape):
    a, b = operands(torch, ctx, shape, lambda x: x.to(getattr(torch, dtype)))
    work = product(lambda: torch.mm(a, b), flops(shape))
    work.tol = (1e-2, 1e-3)  # neighbouring numbers of these types
    work.outputs = lambda: {"out": torch.mm(a, b).float().numpy()}
    return work


@workload("gemm_int8", shape=["NN_64x64x64", "NN_256x256x256", "NT_64x104x1000", "NT_256x256x256"])
def gemm_int8(torch, ctx, shape):
    layout, M, N, K = parse(shape)
    a = ctx.t(integers("gemm_i", 256, M, K) - 128).to(torch.int8)
    b = ctx.t(integers("gemm_j", 256, *((N, K) if layout[1] == "T" else (K, N))) - 128)
    b = b.to(torch.int8)
    b = b.t() if layout[1] == "T" else b
    return product(lambda: torch._int_mm(a, b), flops(shape), tol=(0, 0))


@workload("gemm_vector", shape=VECTORS)
def gemm_vector(torch, ctx, shape):
    layout, rows, columns = shape.split("_")[0], *map(int, shape.split("_")[1].split("x"))
    a = ctx.t(normal("mv_a", rows, columns))
    a = a.t() if layout == "T" else a
    x = ctx.t(normal("mv_x", a.shape[0] if layout == "row" else a.shape[1]))
    work = (lambda: torch.matmul(x, a)) if layout == "row" else (lambda: torch.mv(a, x))
    return product(work, 2 * rows * columns, tol=(1e-4, 1e-4))


@workload("gemm_batched", shape=["NN_16x16x16", "NN_64x64x32", "NT_64x64x32", "TN_64x32x64"])
def gemm_batched(torch, ctx, shape):
    layout, M, N, K = parse(shape)
    a = ctx.t(normal("bmm_a", 48, *((K, M) if layout[0] == "T" else (M, K))))
    b = ctx.t(normal("bmm_b", 48, *((N, K) if layout[1] == "T" else (K, N))))
    a = a.transpose(1, 2) if layout[0] == "T" else a
    b = b.transpose(1, 2) if layout[1] == "T" else b
    return product(lambda: torch.bmm(a, b), 48 * flops(shape))


@workload("gemm_strided", shape=["NN_64x64x64", "NT_64x100x1000", "NN_256x256x256"])
def gemm_strided(torch, ctx, shape):
    """Rows with gaps: columns cut out of wider matrices."""
    layout, M, N, K = parse(shape)
    a = ctx.t(normal("cut_a", M, K + 9))[:, 4 : K + 4]
    b = ctx.t(normal("cut_b", *((N, K + 9) if layout[1] == "T" else (K, N + 9))))
    b = b[:, 4 : K + 4].t() if layout[1] == "T" else b[:, 4 : N + 4]
    return product(lambda: torch.mm(a, b), flops(shape))


@workload(
    "gemm_bias", kind=["linear", "addmm", "linear_relu"], shape=["64x100x1000", "768x512x128"]
)
def gemm_bias(torch, ctx, kind, shape):
    _, M, N, K = parse("NT_" + shape)
    x, weight = ctx.t(normal("lin_x", M, K)), ctx.t(normal("lin_w", N, K))
    bias = ctx.t(normal("lin_b", N))
    F = torch.nn.functional
    kinds = {
        "linear": lambda: F.linear(x, weight, bias),
        "addmm": lambda: torch.addmm(bias, x, weight.t()),
        "linear_relu": lambda: F.relu(F.linear(x, weight, bias)),
    }
    return product(kinds[kind], 2 * M * N * K)
