// bind_checksum.cpp: the CRC-32 of zip archives, at memory speed.
//
// A checkpoint's every byte goes through this checksum, once when it is written and once when it is
// read; zlib's tables do 3 to 4 GB/s of it. Here a message is folded with carry-less multiplication
// (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009):
// a polynomial is congruent to a shorter one in which its upper part, 128 bits at a time, has been
// multiplied by x^d mod P, where d is the distance that the part moves. Four such folds run side by
// side over 64 bytes; what is left at the end, 128 bits, is reduced to 64 and then by Barrett's method
// to 32. All numbers are bit-reflected, as CRC-32 is, and constants carry the factor x that this costs.
#include "bind.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using namespace rl;

#if defined(__x86_64__)
constexpr int64_t kFoldBytes = 64;

#define RL_CLMUL __attribute__((target("pclmul,sse4.1")))

RL_CLMUL inline __m128i load(const uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

// `part` moved by the distance of the factors, onto `next`.
RL_CLMUL inline __m128i fold(__m128i part, __m128i factors, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(part, factors, 0x00);
    const __m128i high = _mm_clmulepi64_si128(part, factors, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// 128 bits modulo P.
RL_CLMUL inline uint32_t reduce(__m128i x) {
    const __m128i by_64 = _mm_set_epi64x(0, 0x163cd6124);                // x^64
    const __m128i by_96 = _mm_set_epi64x(0x0ccaa009e, 0);                // x^96
    const __m128i barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);    // floor(x^64 / P), P
    const __m128i low_32 = _mm_set_epi32(0, -1, 0, -1);
    x = _mm_xor_si128(_mm_clmulepi64_si128(x, by_96, 0x10), _mm_srli_si128(x, 8));
    const __m128i rest = _mm_srli_si128(x, 4);
    x = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(x, low_32), by_64, 0x00), rest);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, low_32), barrett, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
    return uint32_t(_mm_extract_epi32(_mm_xor_si128(x, quotient), 1));
}

// `crc` continued over n bytes, a multiple of 16 of at least 64.
RL_CLMUL uint32_t crc32_folded(uint32_t crc, const uint8_t* p, int64_t n) {
    const __m128i by_512 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);  // x^(512+-32)
    const __m128i by_128 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);  // x^(128+-32)
    __m128i a = _mm_xor_si128(load(p), _mm_cvtsi32_si128(int(crc)));
    __m128i b = load(p + 16), c = load(p + 32), d = load(p + 48);
    for (p += 64, n -= 64; n >= kFoldBytes; p += 64, n -= 64) {
        a = fold(a, by_512, load(p));
        b = fold(b, by_512, load(p + 16));
        c = fold(c, by_512, load(p + 32));
        d = fold(d, by_512, load(p + 48));
    }
    a = fold(fold(fold(a, by_128, b), by_128, c), by_128, d);
    for (; n >= 16; p += 16, n -= 16) a = fold(a, by_128, load(p));
    return reduce(a);
}

bool has_clmul() { return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"); }
#else
constexpr int64_t kFoldBytes = INT64_MAX;
uint32_t crc32_folded(uint32_t crc, const uint8_t*, int64_t) { return crc; }
bool has_clmul() { return false; }
#endif

// The remaining bytes, a bit at a time.
uint32_t crc32_slow(uint32_t crc, const uint8_t* p, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return crc;
}

// crc32(data, value): as zlib's; NotImplemented where the processor cannot fold.
PyObject* py_crc32(PyObject*, PyObject* const* args, Py_ssize_t n) {
    if (!has_clmul()) return not_handled();
    int64_t before = 0;
    if (n != 2 || !as_int64(args[1], &before)) {
        PyErr_SetString(PyExc_TypeError, "crc32(data, value)");
        return nullptr;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) return nullptr;
    const uint8_t* p = static_cast<const uint8_t*>(view.buf);
    uint32_t crc = ~uint32_t(before);
    {
        ReleaseGil unlocked(view.len >= kReleaseGilElements);
        const int64_t folded = view.len >= kFoldBytes ? view.len / 16 * 16 : 0;
        if (folded > 0) crc = crc32_folded(crc, p, folded);
        crc = crc32_slow(crc, p + folded, view.len - folded);
    }
    PyBuffer_Release(&view);
    return PyLong_FromUnsignedLong(~crc);
}

}  // namespace

PyMethodDef checksum_methods[] = {
    method("crc32", py_crc32, "(data, value): the CRC-32 of zip archives, or NotImplemented."),
    {nullptr, nullptr, 0, nullptr},
};
