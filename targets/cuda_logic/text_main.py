"""CUDA C++: the kernel."""

from __future__ import annotations

MAIN = r"""
// Words of 32 samples in, counts or classes or bits out. Blocks take groups of 32 * WORDS samples in turn.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) logic_net(
    const word* __restrict__ packed, long long pitch, const word* __restrict__ program, const word* __restrict__ heads,
    const int* __restrict__ given, int givens, const int* __restrict__ offset, const int* __restrict__ shown,
    int* __restrict__ counts, long long* __restrict__ classes, unsigned char* __restrict__ bits,
    word* __restrict__ scratch, long long samples) {
  extern __shared__ __align__(16) word shared[];
  const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32, part = lane % SHARERS * VECTOR;
#if SHARED
  word* const base = shared;
  word* const tallies = shared + TALLY_AT;
#else
  word* const base = scratch + (long long)blockIdx.x * (WORDS * SLOTS);
  word* const tallies = shared;
#endif
#if SHARED
  const Place memory = word(__cvta_generic_to_shared(base)) + part * 4;
#else
  const Place memory = base + part;
#endif
  const long long words = (samples + 31) / 32;
  const int groups = int((words + WORDS - 1) / WORDS);
  const word first = warp * LANES + lane / SHARERS, stride = WARPS * LANES;
  // Two steps are on their way at any time; the first two stand behind the last once more.
  const word* from_here = program + first * ENTRY;
  const word* heads_at = heads + warp;
  Entry even, odd;
  word even_head, odd_head;
  fetch(even, even_head, from_here, heads_at);
  fetch(odd, odd_head, from_here + stride * ENTRY, heads_at + WARPS);

  for (int i = thread; i < COLOURS * WORDS; i += THREADS) base[i] = 0;
  // Inputs of a group to their slots, by some threads, the first of them number 0.
  auto give = [&](int group, int i, int threads) {
    const long long column = (long long)group * WORDS;
    const bool whole = column + WORDS <= words && pitch % VECTOR == 0;
    for (; i < givens * SHARERS; i += threads) {
      const int2 from = reinterpret_cast<const int2*>(given)[i / SHARERS];
      const word* source = packed + from.x * pitch + column + part;
      Vec v;
      if (whole) {
        Raw raw = __ldg(reinterpret_cast<const Raw*>(source));
        v = *reinterpret_cast<Vec*>(&raw);
      } else {
#pragma unroll
        for (int j = 0; j < VECTOR; ++j) v.w[j] = column + part + j < words ? source[j] : 0u;
      }
      store(memory, from.y, v);
    }
  };
#if COUNTING < WARPS
  give(blockIdx.x, thread, THREADS);
#endif
  for (int group = blockIdx.x; group < groups; group += gridDim.x) {
#if COUNTING == WARPS
    give(group, thread, THREADS);
#endif
    const long long column = (long long)group * WORDS;
    // What the block reads next comes from afar: ask for it now.
    if (column + (long long)gridDim.x * WORDS < words)
      for (int i = thread; i < givens; i += THREADS) {
        const long long at = reinterpret_cast<const int2*>(given)[i].x * pitch + column + (long long)gridDim.x * WORDS;
        asm volatile("prefetch.global.L2 [%0];" ::"l"(packed + at));
      }
#if SUMS
    word planes[VECTOR][PLANES];
#pragma unroll
    for (int v = 0; v < VECTOR; ++v)
#pragma unroll
      for (int i = 0; i < PLANES; ++i) planes[v][i] = 0;
#if AT_ONCE < SUMS
    word done = 0;
    int best = 0, best_at = 0;
#endif
#endif
    const word* next = from_here;
    const word* next_head = heads_at;
#if SUMS
    auto flush = [&]() {
      __syncthreads();
#if COUNTING < WARPS
      if (warp >= COUNTING && group + gridDim.x < groups)
        give(group + gridDim.x, thread - 32 * COUNTING, THREADS - 32 * COUNTING);  // nobody reads the slots any more
#endif
      if (warp * (32 / TEAM) < TEAMS) tally(planes, tallies, warp, lane);
#pragma unroll
      for (int v = 0; v < VECTOR; ++v)
#pragma unroll
        for (int i = 0; i < PLANES; ++i) planes[v][i] = 0;
      __syncthreads();
#if AT_ONCE < SUMS
      const word own = min(AT_ONCE, SUMS - done);
#else
      const word own = SUMS, done = 0;
      int best = 0, best_at = 0;
#endif
      const long long row = (long long)group * (32 * WORDS);
      const word real = samples - row < 32 * WORDS ? word(samples - row) : 32 * WORDS;
      if (counts) {
        int* const to = counts + row * SUMS + done;
        for (word i = thread; i < real * own; i += THREADS) {
          const word sample = i / own, k = i % own;
          to[sample * SUMS + k] = counted(tallies, k, sample) + __ldg(offset + done + k);
        }
      }
      if (classes && thread < 32 * WORDS)
#pragma unroll 1
        for (word k = 0; k < own; ++k) {
          const int value = counted(tallies, k, thread) + __ldg(offset + done + k);
          if (done + k == 0 || value > best) { best = value; best_at = done + k; }
        }
      if (classes && thread < real && done + own == SUMS) classes[row + thread] = best_at;
#if AT_ONCE < SUMS
      done += own;
#endif
      __syncthreads();
    };
#endif
#pragma unroll 1
    for (int step = 0; step < STEPS; step += 2) {
      next += 2 * stride * ENTRY;
      next_head += 2 * WARPS;
#if SUMS
      if (even_head & COUNTS) add(planes, memory, even, even_head, next, next_head);
      else
#endif
        operate(even_head, memory, even, next, next_head);
#if SUMS
      if (odd_head & COUNTS) {
        if (odd_head & FLUSHES) {
          fetch(odd, odd_head, next + stride * ENTRY, next_head + WARPS);
          flush();
        } else add(planes, memory, odd, odd_head, next + stride * ENTRY, next_head + WARPS);
      } else
#endif
        operate(odd_head, memory, odd, next + stride * ENTRY, next_head + WARPS);
    }
#if SHOWN
    __syncthreads();
    for (int i = thread; i < 32 * WORDS * SHOWN; i += THREADS) {
      const int sample = i / SHOWN, o = i % SHOWN, at = __ldg(shown + o);
      const long long row = (long long)group * (32 * WORDS) + sample;
      const word all = base[(long long)(at >> 1) * WORDS + sample / 32] >> (sample % 32);
      if (row < samples) bits[row * SHOWN + o] = (all ^ at) & 1u;
    }
    __syncthreads();
#endif
  }
}
"""
