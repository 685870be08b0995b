"""PyTorch's CPU random stream: the reference kernels.

The engine is MT19937 with its classic 32-bit seeding. One *draw* is 32 bits; a 64-bit number is two
draws, the first of them in the high half. How each function turns draws into numbers is said in
its docstring. All equal PyTorch's bit for bit, except normals, whose last bit depends on how a
library rounds logarithm and cosine (the native kernels' normals are bit-equal on x86-64-v3 and up).
The generator itself runs on the host, whatever the array namespace.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy  # the bit generator only: the reference kernels proper use self.xp

from .base import Array, KernelBase

if TYPE_CHECKING:
    from collections.abc import Sequence

STATE_WORDS = 624
NORMAL_BLOCK = 16


def _seeded_key(seed: int) -> Array:
    """MT19937's key from a seed, of which the low 32 bits count (Matsumoto and Nishimura, 2002)."""
    word = seed & 0xFFFFFFFF
    words = [word]
    for i in range(1, STATE_WORDS):
        word = (1812433253 * (word ^ (word >> 30)) + i) & 0xFFFFFFFF
        words.append(word)
    return numpy.array(words, dtype=numpy.uint32)


class RandomState:
    """The generator's state: 624 words, the next one's position, and a normal number kept over.

    >>> RandomState.from_seed(0).position
    624
    """

    def __init__(
        self,
        key: Array | None = None,
        position: int = STATE_WORDS,
        next_normal: float | None = None,
    ) -> None:
        self.key: Array = _seeded_key(5489) if key is None else key
        self.position = position
        self.next_normal = next_normal

    @classmethod
    def from_seed(cls, seed: int) -> RandomState:
        """The state that ``manual_seed(seed)`` sets."""
        return cls(_seeded_key(seed))

    def seed(self, seed: int) -> None:
        """Start over from ``seed``, in place."""
        self.key[...] = _seeded_key(seed)
        self.position, self.next_normal = STATE_WORDS, None

    def copy(self) -> RandomState:
        """An independent generator that continues the same stream."""
        return RandomState(self.key.copy(), self.position, self.next_normal)


class RandomKernels(KernelBase):
    """Numbers drawn from a ``RandomState``, which moves on in place."""

    # ------------------------------------------------------------------ draws
    def random_uint32(self, state: RandomState, n: int) -> Array:
        """``n`` draws, as uint32."""
        return self.xp.asarray(self._draws(state, n))

    def random_uint64(self, state: RandomState, n: int) -> Array:
        """``n`` numbers of two draws each, the first draw in the high half, as uint64."""
        return self.xp.asarray(self._wide_draws(state, n))

    def _draws(self, state: RandomState, n: int) -> Any:
        generator = numpy.random.MT19937()
        key, position = state.key, state.position
        generator.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
        draws = generator.random_raw(n).astype(numpy.uint32)
        after = generator.state["state"]
        state.key[...] = after["key"]
        state.position = int(after["pos"])
        return draws

    def _wide_draws(self, state: RandomState, n: int) -> Any:
        pairs = self._draws(state, 2 * n).astype(numpy.uint64)
        return pairs[0::2] << numpy.uint64(32) | pairs[1::2]

    # ------------------------------------------------------------------ uniform
    def random_uniform(self, state: RandomState, shape: Sequence[int], dtype: Any) -> Array:
        """Uniform in [0, 1): the low 24 bits of a draw, or the low 53 of two for float64."""
        dtype = self.xp.dtype(dtype)
        numbers = self._uniform(state, math.prod(shape), dtype.itemsize == 8)
        return self.xp.asarray(numbers.astype(dtype).reshape(shape))

    def _uniform(self, state: RandomState, n: int, double: bool) -> Any:
        if double:
            bits = self._wide_draws(state, n) & numpy.uint64((1 << 53) - 1)
            return bits.astype(numpy.float64) * 2.0**-53
        bits = self._draws(state, n) & numpy.uint32((1 << 24) - 1)
        return bits.astype(numpy.float32) * numpy.float32(2.0**-24)

    def random_bernoulli(
        self, state: RandomState, shape: Sequence[int], p: float, dtype: Any
    ) -> Array:
        """1 where a float64 uniform is below ``p``, else 0."""
        hits = self._uniform(state, math.prod(shape), double=True) < p
        return self.xp.asarray(hits.reshape(shape).astype(dtype))

    # ------------------------------------------------------------------ integers
    def random_integers(
        self, state: RandomState, shape: Sequence[int], low: int, high: int
    ) -> Array:
        """int64 in [low, high): a draw modulo the range, two draws where it is 2^32 or more."""
        n, span = math.prod(shape), high - low
        if span >= 1 << 32:
            offsets = self._wide_draws(state, n) % numpy.uint64(span)
        else:
            offsets = self._draws(state, n).astype(numpy.uint64) % numpy.uint64(span)
        with numpy.errstate(over="ignore"):
            numbers = offsets.astype(numpy.int64) + numpy.int64(low)
        return self.xp.asarray(numbers.reshape(shape))

    def random_permutation(self, state: RandomState, n: int) -> Array:
        """0 … n-1 shuffled: for i from 0 to n-2 swap elements i and i + draw mod (n - i)."""
        order = list(range(n))
        for i, draw in enumerate(self._draws(state, max(n - 1, 0)).tolist()):
            j = i + draw % (n - i)
            order[i], order[j] = order[j], order[i]
        return self.xp.asarray(order, dtype=self.xp.int64)

    # ------------------------------------------------------------------ normal
    def random_normal(
        self,
        state: RandomState,
        shape: Sequence[int],
        dtype: Any,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> Array:
        """Normal numbers by Box and Muller's method (1958).

        Fewer than 16: two float64 uniforms u1, u2 give ``sqrt(-2 log1p(-u2))`` times the cosine
        and the sine of ``2 pi u1``; a sine left over is the next call's first number. From 16 on:
        uniforms in blocks of 16, the first 8 radii (of 1 - u), the others angles; a remainder
        means that the last 16 are drawn afresh.
        """
        dtype = self.xp.dtype(dtype)
        n = math.prod(shape)
        with numpy.errstate(all="ignore"):
            if n < NORMAL_BLOCK:
                numbers = self._few_normals(state, n) * std + mean
            else:
                numbers = self._normals_in_blocks(state, n, dtype.itemsize == 8, mean, std)
        return self.xp.asarray(numbers.astype(dtype).reshape(shape))

    def random_normal_pairs(
        self, state: RandomState, n: int, mean: float = 0.0, std: float = 1.0
    ) -> Array:
        """``n`` float64 normal numbers made in pairs, as `random_normal` makes fewer than 16."""
        with numpy.errstate(all="ignore"):
            return self.xp.asarray(self._few_normals(state, n) * std + mean)

    def _few_normals(self, state: RandomState, n: int) -> Any:
        numbers: list[float] = []
        while len(numbers) < n:
            if state.next_normal is not None:
                numbers.append(state.next_normal)
                state.next_normal = None
                continue
            u1, u2 = self._uniform(state, 2, double=True).tolist()
            radius, angle = math.sqrt(-2.0 * math.log1p(-u2)), 2.0 * math.pi * u1
            numbers.append(radius * math.cos(angle))
            state.next_normal = radius * math.sin(angle)
        return numpy.array(numbers, dtype=numpy.float64)

    def _normals_in_blocks(
        self, state: RandomState, n: int, double: bool, mean: float, std: float
    ) -> Any:
        uniforms = self._uniform(state, n, double)
        whole = n - n % NORMAL_BLOCK
        numbers = numpy.empty_like(uniforms)
        numbers[:whole] = self._box_muller(uniforms[:whole], mean, std)
        if whole < n:
            again = self._uniform(state, NORMAL_BLOCK, double)
            numbers[-NORMAL_BLOCK:] = self._box_muller(again, mean, std)
        return numbers

    def _box_muller(self, uniforms: Any, mean: float, std: float) -> Any:
        """Blocks of 16 uniforms to blocks of 16 normals, in the uniforms' own precision."""
        number = uniforms.dtype.type
        blocks = uniforms.reshape(-1, 2, NORMAL_BLOCK // 2)
        radius = numpy.sqrt(number(-2) * numpy.log(number(1) - blocks[:, 0]))
        angle = number(2 * math.pi) * blocks[:, 1]
        pairs = numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], axis=1)
        return (pairs * number(std) + number(mean)).reshape(-1)
