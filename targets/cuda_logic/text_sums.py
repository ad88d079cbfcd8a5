"""CUDA C++: counting terms in registers, and counts from lanes to memory."""

from __future__ import annotations

SUMS = r"""
#if SUMS
// Adds a bit of weight 2**FIRST to bit-sliced counters.
template <int FIRST> __device__ __forceinline__ void ripple(word (&planes)[PLANES], word carry) {
#pragma unroll
  for (int i = FIRST; i < PLANES; ++i) {
    word next = planes[i] & carry;
    planes[i] ^= carry;
    carry = next;
  }
}
template <bool FOUR>
__device__ __forceinline__ void count(
    word (&planes)[VECTOR][PLANES], Place memory, Entry& e, word& head, const word* program, const word* heads) {
  Vec x[4];
#pragma unroll
  for (int i = 0; i < (FOUR ? 4 : 2); ++i) x[i] = load(memory, slot(e, i));
  fetch(e, head, program, heads);
#pragma unroll
  for (int v = 0; v < VECTOR; ++v) {
    const word p = planes[v][0], twos = majority(p, x[0].w[v], x[1].w[v]), one = parity(p, x[0].w[v], x[1].w[v]);
    if (FOUR) {
      const word more = majority(one, x[2].w[v], x[3].w[v]);
      planes[v][0] = parity(one, x[2].w[v], x[3].w[v]);
      if (PLANES > 1) {
        const word q = planes[v][PLANES > 1], fours = majority(q, twos, more);
        planes[v][PLANES > 1] = parity(q, twos, more);
        ripple<2>(planes[v], fours);
      }
    } else {
      planes[v][0] = one;
      ripple<1>(planes[v], twos);
    }
  }
}

__device__ __forceinline__ void add(
    word (&planes)[VECTOR][PLANES], Place memory, Entry& e, word& head, const word* program, const word* heads) {
  if (head & BARRIER) __syncthreads();
  if (head & 1u) count<false>(planes, memory, e, head, program, heads);
  else count<true>(planes, memory, e, head, program, heads);
}

// Sums of the lanes of a team. While a thread has several words, it gives half of them away and gets the other half
// of those it keeps; then all that is left is exchanged. Counters grow by a plane at each turn.
template <int HAVE, int WIDE, int STRIDE> struct Reduce {
  static __device__ __forceinline__ void run(
      const word (&own)[WIDE][HAVE], word (&total)[TALLY], int lane, int& place) {
    if constexpr (STRIDE < TEAM) {
      constexpr int LEFT = WIDE > 1 ? WIDE / 2 : 1;
      const bool upper = WIDE > 1 && (lane & STRIDE);
      word sum[LEFT][HAVE + 1];
#pragma unroll
      for (int v = 0; v < LEFT; ++v) {
        word carry = 0;
#pragma unroll
        for (int i = 0; i < HAVE; ++i) {
          word kept = WIDE > 1 && upper ? own[(v + LEFT) % WIDE][i] : own[v][i];
          word sent = WIDE > 1 && !upper ? own[(v + LEFT) % WIDE][i] : own[v][i];
          word got = __shfl_xor_sync(0xFFFFFFFFu, sent, STRIDE);
          sum[v][i] = parity(kept, got, carry);
          carry = majority(kept, got, carry);
        }
        sum[v][HAVE] = carry;
      }
      place += upper ? LEFT : 0;
      Reduce<HAVE + 1, LEFT, STRIDE * 2>::run(sum, total, lane, place);
    } else {
#pragma unroll
      for (int i = 0; i < TALLY; ++i) total[i] = i < HAVE ? own[0][i < HAVE ? i : 0] : 0u;
    }
  }
};

// Counts of all teams as bytes: [teams][BYTES][8][WORDS] words and one of padding. The count of sample
// 32 * w + 8 * b + j has its byte q in byte b of word [team][q][j][w].
#define BYTES ((TALLY + 7) / 8)
#define TALLY_PITCH (BYTES * 8 * WORDS + 1)
__device__ __forceinline__ void transposed(word (&x)[8]) {
#pragma unroll
  for (int s = 1; s < 8; s *= 2) {
    const word m = s == 1 ? 0x55555555u : s == 2 ? 0x33333333u : 0x0F0F0F0Fu;
#pragma unroll
    for (int i = 0; i < 8; ++i)
      if (!(i & s)) {
        const word low = x[i], high = x[i + s];
        x[i] = mux(m, low, high << s);
        x[i + s] = mux(m, low >> s, high);
      }
  }
}
__device__ __forceinline__ void tally(const word (&planes)[VECTOR][PLANES], word* counts, int warp, int lane) {
  word total[TALLY];
  int place = lane % SHARERS * VECTOR;
  Reduce<PLANES, VECTOR, SHARERS>::run(planes, total, lane, place);
  const int team = (warp * 32 + lane) / TEAM;
  if (team < TEAMS && lane % TEAM < SHARERS * VECTOR)
#pragma unroll
    for (int q = 0; q < BYTES; ++q) {
      word x[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = 8 * q + i < TALLY ? total[8 * q + i < TALLY ? 8 * q + i : 0] : 0u;
      transposed(x);
#pragma unroll
      for (int i = 0; i < 8; ++i) counts[team * TALLY_PITCH + (q * 8 + i) * WORDS + place] = x[i];
    }
}
__device__ __forceinline__ int counted(const word* counts, word k, word sample) {
  const word* own = counts + k * (EACH * TALLY_PITCH) + sample % 8 * WORDS + sample / 32;
  const word shift = sample & 24u;
  word total = 0;
#pragma unroll
  for (int part = 0; part < EACH; ++part)
#pragma unroll
    for (int q = 0; q < BYTES; ++q) total += (own[part * TALLY_PITCH + q * 8 * WORDS] >> shift & 255u) << 8 * q;
  return int(total);
}
#endif

"""
