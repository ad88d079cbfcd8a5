"""CUDA C++: rows of samples to words of 32 samples."""

from __future__ import annotations

PACK = r"""
// Rows of samples to words of 32 samples, [inputs][pitch]. A block packs 256 samples, 64 inputs at a time.
#define TILE 64
__device__ __forceinline__ void put(
    word (&tile)[TILE][9], word* packed, long long pitch, int inputs, int start, long long words) {
  __syncthreads();
  for (int i = threadIdx.x; i < TILE * 8; i += 256) {
    const long long column = (long long)blockIdx.x * 8 + i % 8;
    if (start + i / 8 < inputs && column < words) packed[(start + i / 8) * pitch + column] = tile[i / 8][i % 8];
  }
  __syncthreads();
}
// One byte a bit, whatever is not 0 is true.
extern "C" __global__ void __launch_bounds__(256) pack_bytes(
    const unsigned char* __restrict__ rows, long long samples, int inputs, word* __restrict__ packed, long long pitch) {
  __shared__ word tile[TILE][9];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const long long row = (long long)blockIdx.x * 256 + threadIdx.x, words = (samples + 31) / 32;
  const bool fast = inputs % 16 == 0;
  for (int start = 0; start < inputs; start += TILE) {
    for (int i = 0; i < TILE && start + i < inputs; i += 16) {
      union { uint4 whole; unsigned char each[16]; } b;
      b.whole = make_uint4(0, 0, 0, 0);
      const unsigned char* source = rows + row * inputs + start + i;
      if (row < samples) {
        if (fast) b.whole = __ldg(reinterpret_cast<const uint4*>(source));
        else
#pragma unroll
          for (int j = 0; j < 16; ++j) b.each[j] = start + i + j < inputs ? source[j] : 0;
      }
      word mine = 0;
#pragma unroll
      for (int j = 0; j < 16; ++j) {
        const word all = __ballot_sync(0xFFFFFFFFu, b.each[j]);
        if (lane == j) mine = all;
      }
      if (lane < 16) tile[i + lane][warp] = mine;
    }
    put(tile, packed, pitch, inputs, start, words);
  }
}
// Eight bits a byte, the first bit the lowest; a row has (inputs + 7) / 8 bytes.
extern "C" __global__ void __launch_bounds__(256) pack_bits(
    const unsigned char* __restrict__ rows, long long samples, int inputs, word* __restrict__ packed, long long pitch) {
  __shared__ word tile[TILE][9];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const long long row = (long long)blockIdx.x * 256 + threadIdx.x, words = (samples + 31) / 32;
  const int width = (inputs + 7) / 8;
  for (int start = 0; start < inputs; start += TILE) {
    for (int i = 0; i < TILE / 32; ++i) {
      word own = 0;
      if (row < samples)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int at = start / 8 + i * 4 + j;
          if (at < width) own |= word(rows[row * width + at]) << (8 * j);
        }
      word mine = 0;
#pragma unroll
      for (int j = 0; j < 32; ++j) {
        const word all = __ballot_sync(0xFFFFFFFFu, own >> j & 1u);
        if (lane == j) mine = all;
      }
      tile[i * 32 + lane][warp] = mine;
    }
    put(tile, packed, pitch, inputs, start, words);
  }
}
"""
