"""Matrix products: the reference against sums written out, the native kernels against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy
import pytest
from numpy.typing import NDArray

import rushlight
from rushlight.backends import Kernels, kernels

Matrix = NDArray[Any]
reference = Kernels(numpy)
cpu = kernels(numpy.zeros(1))


def random_matrix(seed: int, *shape: int, dtype: Any = numpy.float32) -> Matrix:
    return numpy.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check(result: Matrix, expected: Matrix, depth: int) -> None:
    """Equal up to the rounding of a sum of ``depth`` products of numbers near one."""
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    assert result.flags.c_contiguous
    tolerance = 4 * numpy.finfo(expected.dtype).eps * max(depth, 1)
    numpy.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


def exact(a: Matrix, b: Matrix) -> Matrix:
    """The product summed in double precision."""
    product: Matrix = numpy.matmul(a.astype(numpy.float64), b.astype(numpy.float64))
    return product.astype(a.dtype)


# ------------------------------------------------------------------ the reference
@pytest.mark.parametrize("dtype", [numpy.float32, numpy.int64, numpy.int8])
def test_reference_matmul_is_the_sum_of_products(dtype: Any) -> None:
    a = numpy.array([[1, 2, 3], [4, 5, 6]], dtype)
    b = numpy.array([[1, 0], [2, 1], [0, 3]], dtype)
    expected = numpy.array([[5, 11], [14, 23]], dtype)
    result = reference.matmul(a, b)
    assert result.dtype == dtype
    numpy.testing.assert_array_equal(result, expected)


def test_reference_rounds_half_precision_once() -> None:
    # 2048 + 1 is not a float16: a sum kept in float16 would stay at 2048.
    a = numpy.ones((1, 2050), numpy.float16)
    assert reference.matmul(a, a.T) == numpy.float16(2050)
    b = numpy.full((1, 300), 1, ml_dtypes.bfloat16)
    assert float(reference.matmul(b, b.T)[0, 0]) == 300


# ------------------------------------------------------------------ block edges
# Tiles are 6 rows x 4 vectors, and 14 rows for the last columns, up to 3 vectors (6 x 2 and 2 x 4
# with 16 registers); the dot kernel's are 4 x 4 (or 2 x 4) for up to 64 rows and depths of 6 times
# the rows; blocks hold 512 of k (2048 in the dot kernel) and 384 columns, or more if k is shorter.
# Operands are copied if their rows are 512 numbers apart: B for 768 rows of A (128), a turned A
# for 96 columns with 16 registers, and by 48 rows for 192 columns with 32. A row times more than
# 256 KB with up to 4096 columns goes by 8 rows of B. Where B stays in place and 256 KB hold A's
# part, panels pass over rows from 4 blocks of them on; a turned A whose columns are 1024 numbers
# apart has blocks of 256 of k.
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 15, 28, 29, 64, 65, 129])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_rows(rows: int, layout: str) -> None:
    compare(rows, 37, 50, layout)
    compare(rows, 130, 50, layout)


@pytest.mark.parametrize(
    "columns", [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 49, 63, 64, 65, 513]
)
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_columns(columns: int, layout: str) -> None:
    compare(15, columns, 40, layout)
    compare(15, columns, 100, layout)
    compare(131, columns, 70, layout)


@pytest.mark.parametrize("columns", [80, 81, 100, 104, 105, 120, 121, 192, 193, 200, 216, 600])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_wide(columns: int, layout: str) -> None:
    compare(6, columns, 60, layout)
    compare(15, columns, 390, layout)


@pytest.mark.parametrize("rows", [127, 128, 511, 512, 767, 768])
@pytest.mark.parametrize("layout", ["NN", "TN"])
def test_rows_far_apart(rows: int, layout: str) -> None:
    compare(rows, 511, 20, layout)
    compare(rows, 600, 20, layout)
    compare(rows, 96, 390, layout)


@pytest.mark.parametrize("depth", [256, 257, 600])
@pytest.mark.parametrize("columns", [70, 191, 192, 260])
def test_turned_columns_in_few_sets(columns: int, depth: int) -> None:
    for rows in (512, 1024):
        compare(rows, columns, depth, "TN")


@pytest.mark.parametrize("rows", [1, 16, 47, 48, 49, 96, 100])
def test_turned_columns_are_copied(rows: int) -> None:
    a, b = random_matrix(1, 300, 1024)[:, :rows].T, random_matrix(2, 300, 200)
    check(cpu.matmul(a, b), exact(a, b), 300)


@pytest.mark.parametrize(
    ("depth", "columns"),
    [(4096, 16), (1000, 65), (999, 66), (517, 127), (130, 515), (17, 4095), (18, 4096), (16, 4097)],
)
def test_a_row_times_a_large_matrix(depth: int, columns: int, threads: int) -> None:
    x, b = random_matrix(1, depth), random_matrix(2, depth, columns)
    check(cpu.matmul(x, b), exact(x, b), depth)
    check(cpu.matmul(b.T, x), exact(x, b), depth)
    bias = random_matrix(3, columns)
    check(cpu.linear(x[None], b.T, bias), exact(x[None], b) + bias, depth)
    check(
        cpu.matmul(x.astype(float), b.astype(float)), exact(x.astype(float), b.astype(float)), depth
    )


@pytest.mark.parametrize("depth", [0, 1, 3, 4, 15, 16, 17, 255, 256, 257, 511, 512, 513, 1030])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_depths(depth: int, layout: str) -> None:
    compare(3, 20, depth, layout)
    compare(3, 20, 10 * depth, layout)
    compare(30, 33, depth, layout)
    compare(130, 160, depth, layout)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 34, 68, 100])
@pytest.mark.parametrize("rows", [31, 32, 127, 128, 129, 200])
def test_a_few_columns_are_left(rows: int, columns: int) -> None:
    for depth in (127, 128, 512, 513):
        for layout in ("NN", "NT", "TN", "TT"):
            compare(rows, columns, depth, layout)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("columns", [1, 15, 16, 17, 63, 64, 65, 100])
def test_a_few_steps_of_k(columns: int, depth: int) -> None:
    for rows in (15, 16, 17, 40):
        for layout in ("NN", "NT", "TN", "TT"):
            compare(rows, columns, depth, layout)
    a, b = random_matrix(1, 20, depth), random_matrix(2, depth, columns)
    bias = random_matrix(3, columns)
    product = cpu.addmm(bias, a, b, 1, 1, True)
    check(product, numpy.maximum(exact(a, b) + bias, 0), depth)
    whole = random_matrix(4, 20, columns)
    check(cpu.addmm(whole, a, b, 1, 1), exact(a, b) + whole, depth)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("columns", [512, 1024, 2047, 2048, 2055, 5000])
def test_a_few_steps_of_k_and_long_rows(columns: int, depth: int, threads: int) -> None:
    for rows in (16, 17):
        a, b = random_matrix(1, rows, depth), random_matrix(2, depth, columns)
        check(cpu.matmul(a, b), exact(a, b), depth)
        bias = random_matrix(3, columns)
        check(cpu.linear(a, b.T, bias), exact(a, b) + bias, depth)


def test_a_few_columns_are_left_of_a_layer() -> None:
    x, weight, bias = random_matrix(1, 70, 300), random_matrix(2, 20, 300), random_matrix(3, 20)
    check(cpu.linear(x, weight, bias), exact(x, weight.T) + bias, 300)
    product = cpu.addmm(bias, x, weight.T, 1, 1, True)
    check(product, numpy.maximum(exact(x, weight.T) + bias, 0), 300)


def compare(rows: int, columns: int, depth: int, layout: str) -> None:
    for dtype in (numpy.float32, numpy.float64):
        a = random_matrix(1, rows, depth, dtype=dtype)
        b = random_matrix(2, depth, columns, dtype=dtype)
        if layout[0] == "T":
            a = numpy.asfortranarray(a)
        if layout[1] == "T":
            b = numpy.asfortranarray(b)
        check(cpu.matmul(a, b), exact(a, b), depth)


def test_two_threads_give_the_product(threads: int) -> None:
    for rows, columns, depth in [(300, 200, 150), (20, 3000, 100), (3000, 20, 100)]:
        a, b = random_matrix(1, rows, depth), random_matrix(2, depth, columns)
        check(cpu.matmul(a, b), exact(a, b), depth)
        check(cpu.matmul(a, b.T.copy().T), exact(a, b), depth)


def test_the_number_of_threads_changes_nothing() -> None:
    before = rushlight.get_num_threads()
    a, b = random_matrix(1, 102, 600), random_matrix(2, 600, 100)
    x = numpy.asfortranarray(random_matrix(3, 200, 400))
    results = []
    try:
        for threads in (1, 2):
            rushlight.set_num_threads(threads)
            products = cpu.matmul(a, b), cpu.matmul(a, b.T.copy().T), cpu.matmul(x, b[:400])
            results.append([p.tobytes() for p in products])
    finally:
        rushlight.set_num_threads(before)
    assert results[0] == results[1]


# ------------------------------------------------------------------ layouts
LAYOUTS: dict[str, Callable[[Matrix], Matrix]] = {
    "sliced": lambda x: numpy.repeat(numpy.repeat(x, 2, -1), 3, -2)[..., ::3, ::2],
    "reversed": lambda x: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "column of a wider matrix": lambda x: numpy.concatenate([x, x], -1)[..., : x.shape[-1]],
    "misaligned": lambda x: misaligned(x),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
}


def misaligned(x: Matrix) -> Matrix:
    raw = numpy.zeros(x.nbytes + 1, numpy.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    arrange = LAYOUTS[layout]
    for rows, columns, depth in [(9, 21, 33), (140, 150, 90)]:
        a, b = random_matrix(1, rows, depth), random_matrix(2, depth, columns)
        numpy.testing.assert_allclose(
            cpu.matmul(arrange(a), arrange(b)), exact(a, b), rtol=1e-4, atol=1e-4
        )


def test_repeated_rows_and_columns() -> None:
    row = random_matrix(1, 1, 40)
    a = numpy.broadcast_to(row, (30, 40))
    b = numpy.broadcast_to(random_matrix(2, 40, 1), (40, 25))
    check(cpu.matmul(a, b), exact(a, b), 40)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5,), (5,)),
        ((5,), (5, 3)),
        ((4, 5), (5,)),
        ((2, 4, 5), (5,)),
        ((2, 3, 4, 5), (5, 6)),
        ((2, 1, 4, 5), (3, 5, 6)),
        ((5,), (7, 5, 6)),
        ((2, 3, 0, 5), (5, 6)),
        ((0, 4, 5), (0, 5, 6)),
        ((2, 4, 0), (0, 6)),
        ((33, 20, 17), (33, 17, 18)),
    ],
)
def test_batches_and_vectors(left: tuple[int, ...], right: tuple[int, ...], threads: int) -> None:
    a, b = random_matrix(1, *left), random_matrix(2, *right)
    check(cpu.matmul(a, b), numpy.asarray(exact(a, b)), left[-1])


def test_batch_of_swapped_axes() -> None:
    # What attention multiplies: (B, T, H, D) seen as (B, H, T, D).
    q, k = (random_matrix(seed, 2, 10, 3, 16).swapaxes(1, 2) for seed in (1, 2))
    check(cpu.matmul(q, k.swapaxes(2, 3)), exact(q, k.swapaxes(2, 3)), 16)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "float16", "bfloat16"])
def test_other_types_agree_with_the_reference(dtype: str) -> None:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    a = (random_matrix(1, 7, 9) * 3).astype(kind)
    b = (random_matrix(2, 9, 5) * 3).astype(kind)
    result = cpu.matmul(a, b)
    assert result.dtype == a.dtype
    numpy.testing.assert_array_equal(result, reference.matmul(a, b))


# ------------------------------------------------------------------ narrow types
def arranged(x: Matrix, kind: str) -> Matrix:
    """``x`` lying in memory as named: rows, columns, or neither side by side."""
    if kind == "T":
        return numpy.asfortranarray(x)
    return numpy.repeat(numpy.repeat(x, 2, 0), 3, 1)[::2, ::3] if kind == "S" else x


NARROW_SHAPES = [(1, 1, 1), (3, 5, 7), (4, 120, 41), (33, 17, 64), (40, 33, 385), (15, 1, 9)]


@pytest.mark.parametrize("shape", [*NARROW_SHAPES, (130, 160, 801), (4, 4, 0)])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT", "SS"])
@pytest.mark.parametrize("dtype", [numpy.float16, ml_dtypes.bfloat16])
def test_half_precision_is_summed_in_float32(
    shape: tuple[int, int, int], layout: str, dtype: Any, threads: int
) -> None:
    rows, columns, depth = shape
    a, b = random_matrix(1, rows, depth, dtype=dtype), random_matrix(2, depth, columns, dtype=dtype)
    result = cpu.matmul(arranged(a, layout[0]), arranged(b, layout[1]))
    assert result.dtype == a.dtype
    expected = numpy.matmul(a.astype(numpy.float64), b.astype(numpy.float64))
    numpy.testing.assert_allclose(
        result.astype(numpy.float64),
        expected,
        rtol=0.51 * float(ml_dtypes.finfo(dtype).eps),
        atol=2e-6 * max(depth, 1),
    )


@pytest.mark.parametrize("dtype", [numpy.float16, ml_dtypes.bfloat16])
def test_half_precision_bias_batches_and_special_values(dtype: Any) -> None:
    x, weight = random_matrix(1, 5, 40, dtype=dtype), random_matrix(2, 9, 40, dtype=dtype)
    bias, whole = random_matrix(3, 9, dtype=dtype), random_matrix(4, 5, 9, dtype=dtype)
    close = {"rtol": 2 * float(ml_dtypes.finfo(dtype).eps), "atol": 1e-3}
    for mine, plain in [
        (cpu.linear(x, weight, bias), reference.linear(x, weight, bias)),
        (cpu.addmm(bias, x, weight.T, 1, 1), reference.addmm(bias, x, weight.T, 1, 1)),
        (cpu.addmm(whole, x, weight.T, 1, 1), reference.addmm(whole, x, weight.T, 1, 1)),
        (cpu.matmul(x[None, None], weight.T), reference.matmul(x[None, None], weight.T)),
        (
            cpu.matmul(numpy.stack([x] * 7), numpy.stack([weight.T] * 7)),
            reference.matmul(numpy.stack([x] * 7), numpy.stack([weight.T] * 7)),
        ),
    ]:
        assert mine.dtype == plain.dtype
        numpy.testing.assert_allclose(
            mine.astype(numpy.float64), plain.astype(numpy.float64), **close
        )
    a, b = numpy.zeros((40, 60), dtype), numpy.ones((60, 70), dtype)
    b[59, 69], b[3, 0] = numpy.nan, numpy.inf
    a[2] = 1
    result = cpu.matmul(a, b).astype(numpy.float64)
    assert numpy.isnan(result[:, 69]).all()
    assert result[2, 0] == numpy.inf
    assert numpy.isnan(numpy.delete(result[:, 0], 2)).all()  # 0 * inf
    assert (result[2, 1:69] == 60).all()


def test_half_precision_overflows_to_infinity() -> None:
    a = numpy.full((20, 30), 250, numpy.float16)
    assert (cpu.matmul(a, a.T) == numpy.inf).all()


@pytest.mark.parametrize("shape", [*NARROW_SHAPES, (65, 130, 2000), (4, 4, 0)])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT", "SS"])
def test_int8_products_are_exact(shape: tuple[int, int, int], layout: str, threads: int) -> None:
    rows, columns, depth = shape
    random = numpy.random.default_rng(5)
    a = random.integers(-128, 128, (rows, depth)).astype(numpy.int8)
    b = random.integers(-128, 128, (depth, columns)).astype(numpy.int8)
    expected = a.astype(numpy.int64) @ b.astype(numpy.int64)
    for backend in (cpu, reference):
        result = backend.int_matmul(arranged(a, layout[0]), arranged(b, layout[1]))
        assert result.dtype == numpy.int32
        numpy.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_narrow_products_of_rows_that_start_anywhere(dtype: str, offset: int) -> None:
    random = numpy.random.default_rng(5)
    a, b = (random.integers(-9, 9, rows * 68 + 8).astype(dtype) for rows in (90, 70))
    a = a[offset : offset + 90 * 68].reshape(90, 68)
    b = b[offset : offset + 70 * 68].reshape(70, 68).T
    expected = a.astype(numpy.int64) @ b.astype(numpy.int64)
    result = cpu.int_matmul(a, b) if dtype == "int8" else cpu.matmul(a, b)
    numpy.testing.assert_array_equal(result, expected.astype(result.dtype))


# ------------------------------------------------------------------ NaN, infinity
@pytest.mark.parametrize("rows", [1, 4, 20, 150])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_nan_and_infinity_reach_their_row_and_column_only(rows: int, layout: str) -> None:
    a, b = numpy.zeros((rows, 60), numpy.float32), numpy.ones((60, 70), numpy.float32, layout)
    b[59, 69] = numpy.nan
    b[3, 0] = numpy.inf
    result = cpu.matmul(a, b)
    assert numpy.isnan(result[:, 69]).all()  # 0 * NaN
    assert numpy.isnan(result[:, 0]).all()  # 0 * inf
    assert (result[:, 1:69] == 0).all()


# ------------------------------------------------------------------ addmm, linear
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "complex64"])
@pytest.mark.parametrize("rows", [0, 1, 4, 17])
def test_gradients_of_a_product(rows: int, dtype: str) -> None:
    a, b = random_matrix(1, rows, 5), random_matrix(2, 5, 18)
    grad = random_matrix(3, rows, 18)
    a, b, grad = ((4 * x).astype(dtype) for x in (a, b, grad))
    if dtype == "complex64":
        a, b = a * (1 + 2j), b * (3 - 1j)
    exact_type = numpy.complex128 if dtype == "complex64" else numpy.float64
    tolerance = {"float16": 2e-2, "float64": 1e-12}.get(dtype, 2e-5)
    for x, y, g in ((a, b, grad), (a.copy("F"), b.copy("F"), grad.copy("F"))):
        right = cpu.matmul_right(g, y)
        want = grad.astype(exact_type) @ b.astype(exact_type).conj().T
        numpy.testing.assert_allclose(right, want, rtol=tolerance, atol=64 * tolerance)
        assert right.flags.c_contiguous
        left = cpu.matmul_left(g, x, y.strides)
        want = a.astype(exact_type).conj().T @ grad.astype(exact_type)
        numpy.testing.assert_allclose(left, want, rtol=tolerance, atol=64 * tolerance)
        assert left.flags.f_contiguous if y is not b else left.flags.c_contiguous
        want = reference.matmul_left(g, x, y.strides)
        assert left.dtype == want.dtype and left.strides == want.strides


@pytest.mark.parametrize("bias_shape", [(), (1,), (23,), (1, 23), (19, 1), (19, 23)])
@pytest.mark.parametrize(("beta", "alpha"), [(1, 1), (0.5, 1), (1, -2), (0, 1), (2, 3.0)])
def test_addmm(bias_shape: tuple[int, ...], beta: float, alpha: float) -> None:
    a, b, bias = random_matrix(1, 19, 31), random_matrix(2, 31, 23), random_matrix(3, *bias_shape)
    expected = (beta * bias + alpha * exact(a, b)).astype(numpy.float32)
    check(cpu.addmm(bias, a, b, beta, alpha), expected, 100)
    check(reference.addmm(bias, a, b, beta, alpha), expected, 100)


def test_addmm_with_beta_zero_does_not_read_the_bias() -> None:
    bias = numpy.full(4, numpy.nan, numpy.float32)
    a = numpy.ones((3, 2), numpy.float32)
    for backend in (cpu, reference):
        assert (backend.addmm(bias, a, a[:2].repeat(2, 1), 0, 1) == 2).all()


@pytest.mark.parametrize("leading", [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (40,)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_linear(leading: tuple[int, ...], with_bias: bool) -> None:
    x, weight = random_matrix(1, *leading, 50), random_matrix(2, 21, 50)
    bias = random_matrix(3, 21) if with_bias else None
    expected = exact(x, weight.T)
    if bias is not None:
        expected = expected + bias
    check(cpu.linear(x, weight, bias), expected, 50)
    check(reference.linear(x, weight, bias), expected, 50)


def test_linear_on_swapped_axes() -> None:
    x = random_matrix(1, 4, 6, 10).swapaxes(0, 1)
    weight, bias = random_matrix(2, 10, 21).T, random_matrix(3, 42)[::2]
    check(cpu.linear(x, weight, bias), exact(x, weight.T) + bias, 10)
