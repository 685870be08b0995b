// gemm_groups.h: operands whose steps of k are words: two 16-bit or four 8-bit numbers side by side.
//
// The processor's instructions for narrow numbers multiply the parts of two words pairwise and add
// them all to a 32-bit sum. So a product over K narrow numbers is one over K / 2 or K / 4 words,
// with the tiles, the packing and the blocks of gemm_core.h, once numbers that are neighbours along
// k have been put into one word. An operand that runs along k in whole words is read where it lies,
// or copied if there are words to fill up with zeros; where it runs across, two or four rows are
// interleaved. For the files that need AVX-512.
#pragma once

#include "gemm_pack.h"

namespace rl {
namespace RL_ISA {
namespace {

template <class Narrow>
constexpr int kGroup = 4 / int(sizeof(Narrow));

template <class Narrow>
struct UnsignedOf;
template <>
struct UnsignedOf<uint16_t> {
    typedef uint16_t type;
};
template <>
struct UnsignedOf<int8_t> {
    typedef uint8_t type;
};

// W numbers as words, by instructions that GCC does not find by itself for bytes.
RL_INLINE u32v widen_parts(const uint16_t* p) {
    return (u32v)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
}
RL_INLINE u32v widen_parts(const int8_t* p) {
    return (u32v)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}

// A matrix of words, `Word` being the tiles' number type.
template <class Word>
struct Words {
    const Word* data;
    int64_t line, k;  // strides: from row to row of A (column to column of B), and along k
};

// Whether the numbers of lines that run along k are words as they lie.
template <class Narrow>
bool are_words(const Narrow* from, int64_t line, int64_t K) {
    return K % kGroup<Narrow> == 0 && line % kGroup<Narrow> == 0 && uintptr_t(from) % 4 == 0;
}

// `lines` lines of K numbers each, which lie side by side; `flip` is exclusive-ored to every word.
template <class Narrow>
void copy_lines(const Narrow* from, int64_t line, int64_t lines, int64_t K, uint32_t flip,
                uint32_t* to) {
    constexpr int G = kGroup<Narrow>, W = kW<uint32_t>;
    const int64_t words = ceil_div(K, G);
    for (int64_t i = 0; i < lines; i++, from += line, to += words) {
        int64_t w = 0;
        for (; (w + W) * G <= K; w += W) {
            u32v whole;
            memcpy(&whole, from + w * G, sizeof(whole));
            st(to + w, whole ^ flip);
        }
        for (; w < words; w++) {
            uint32_t word = 0;
            memcpy(&word, from + w * G, size_t(min64(G, K - w * G)) * sizeof(Narrow));
            to[w] = word ^ flip;
        }
    }
}

// Lines of words that lie side by side, turned: the words of one step of k lie side by side.
inline void turn_lines(const int32_t* from, int64_t line, int64_t lines, int64_t words,
                       uint32_t flip, uint32_t* to) {
    constexpr int W = kW<int32_t>;
    for (int64_t i = 0; i < lines; i += W)
        for (int64_t w = 0; w < words; w += W) {
            const int n = int(min64(W, lines - i)), depth = int(min64(W, words - w));
            const int32_t* const square = from + i * line + w;
            alignas(64) int32_t turned[W * W];
            if (n == W && depth == W) {
                turn_square(square, line, turned, W);
            } else {
                i32v block[W];
                for (int j = 0; j < W; j++)
                    block[j] = j < n ? ldn(square + j * line, depth) : i32v{};
                transpose(block);
                for (int q = 0; q < depth; q++) st(turned + q * W, block[q]);
            }
            for (int q = 0; q < depth; q++)
                stn((int32_t*)to + (w + q) * lines + i, ld(turned + q * W) ^ int32_t(flip), n);
        }
}

// The same for numbers `step` apart along k and `line` apart from line to line; the words of one
// step of k lie side by side.
template <class Narrow>
void interleave(const Narrow* from, int64_t line, int64_t step, int64_t lines, int64_t K,
                uint32_t flip, uint32_t* to) {
    constexpr int G = kGroup<Narrow>, W = kW<uint32_t>, bits = 8 * int(sizeof(Narrow));
    typedef typename UnsignedOf<Narrow>::type Part;  // not extended by its sign
    for (int64_t k = 0; k < K; k += G) {
        const int parts = int(min64(G, K - k));
        int64_t i = 0;
        for (; line == 1 && parts == G && i + W <= lines; i += W) {
            u32v words = {};
            RL_UNROLL
            for (int q = 0; q < G; q++)
                words |= widen_parts(from + (k + q) * step + i) << (q * bits);
            st(to + i, words ^ flip);
        }
        for (; i < lines; i++) {
            uint32_t word = 0;
            for (int q = 0; q < parts; q++)
                word |= uint32_t(Part(from[(k + q) * step + i * line])) << (q * bits);
            to[i] = word ^ flip;
        }
        to += lines;
    }
}

template <class Word, class Narrow>
Words<Word> group_words(const Narrow* from, int64_t line, int64_t step, int64_t lines, int64_t K,
                        uint32_t flip, ScratchSlot slot) {
    constexpr int G = kGroup<Narrow>;
    const int64_t words = ceil_div(K, G);
    if (step == 1 && flip == 0 && are_words(from, line, K))
        return {reinterpret_cast<const Word*>(from), line / G, 1};
    Word* const memory = scratch<Word>(slot, lines * words);
    uint32_t* const to = reinterpret_cast<uint32_t*>(memory);
    if (step == 1) {
        copy_lines(from, line, lines, K, flip, to);
        return {memory, words, 1};
    }
    interleave(from, line, step, lines, K, flip, to);
    return {memory, 1, lines};
}

}  // namespace
}  // namespace RL_ISA
}  // namespace rl
