// C[M, N] = A[M, K] x B[N, K]^T, int8 x int8 -> int32, for a few rows M of A (1 to 32): weights straight from memory to the
// tensor cores' registers, without shared memory, at the speed of their bytes. Weights are the 16-row operand of m16n8k32,
// TOKENS / 8 times 8 tokens the other.
//
// A block has 16 TILES rows of weights; its WARPS_K warps share them along K and add up at the end.
// The order of K does not matter if it is the same on both sides: of each 64 bytes, lane l takes bytes 16 (l % 4) to + 15 of
// row l / 4 in one 16-byte load, and its four words serve as the four words that two m16n8k32 want of it.
// K: a multiple of 16; M, N: any.
#ifndef TOKENS
#define TOKENS 8  // 8, 16, 24 or 32
#endif
#ifndef TILES
#define TILES 1  // times 16 rows of weights
#endif
#ifndef WARPS_K
#define WARPS_K 4
#endif
#ifndef UNROLL
#define UNROLL 4  // times 64 bytes of K whose loads are all in flight
#endif
#ifndef FORCE_SM75
#define FORCE_SM75 0
#endif
#define THREADS (32 * WARPS_K)
#define ROWS (16 * TILES)
#define NS (TOKENS / 8)
#define PITCH (ROWS + 4)

// d += 16 x 32 of weights times (8 x 32 of tokens)^T.
__device__ __forceinline__ void mma(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1)
{
#if FORCE_SM75 || __CUDA_ARCH__ < 800
    const uint32_t a[4] = {a0, a1, a2, a3};
#pragma unroll
    for (int h = 0; h < 2; ++h)
#pragma unroll
        for (int k = 0; k < 2; ++k)
            asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                         : "+r"(d[2 * h]), "+r"(d[2 * h + 1])
                         : "r"(a[2 * k + h]), "r"(k ? b1 : b0));
#else
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// Weights are read once: not kept in L1. No .nc: ptxas would move such loads to their uses, over the __syncwarp below.
__device__ __forceinline__ uint4 stream(const int8_t *p)
{
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    thin(const int8_t *__restrict__ a, const int8_t *__restrict__ b, Out *__restrict__ out, int M, int N, int K,
         const Finish parameters)
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int n0 = blockIdx.x * ROWS, t0 = blockIdx.y * TOKENS;
    // Row l / 4 (+ 8) of each 16, beyond the edge the last one, whose products are not stored.
    const int8_t *w[TILES][2], *x[NS];
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) w[i][h] = b + (int64_t)min(n0 + 16 * i + 8 * h + lane / 4, N - 1) * K + lane % 4 * 16;
#pragma unroll
    for (int j = 0; j < NS; ++j) x[j] = a + (int64_t)min(t0 + 8 * j + lane / 4, M - 1) * K + lane % 4 * 16;
    int acc[TILES][NS][4];
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
        for (int j = 0; j < NS; ++j) acc[i][j][0] = acc[i][j][1] = acc[i][j][2] = acc[i][j][3] = 0;

    // Whole rounds test nothing; in the last one, chunks beyond K read the row's last chunk and count as zeros of A.
    auto round = [&](int first, bool whole) {
        uint4 held[UNROLL][TILES][2];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int k = first + u * 64, back = whole ? 0 : max(k + lane % 4 * 16 + 16 - K, 0);
#pragma unroll
            for (int i = 0; i < TILES; ++i)
#pragma unroll
                for (int h = 0; h < 2; ++h) held[u][i][h] = stream(w[i][h] + k - back);
        }
        __syncwarp();  // keeps all loads of the round before its first use
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int k = first + u * 64;
#pragma unroll
            for (int j = 0; j < NS; ++j) {
                uint4 v = make_uint4(0, 0, 0, 0);
                if (whole || k + lane % 4 * 16 < K) v = __ldg((const uint4 *)(x[j] + k));
#pragma unroll
                for (int i = 0; i < TILES; ++i) {
                    const uint4 &p = held[u][i][0], &q = held[u][i][1];
                    mma(acc[i][j], p.x, q.x, p.y, q.y, v.x, v.y);
                    mma(acc[i][j], p.z, q.z, p.w, q.w, v.z, v.w);
                }
            }
        }
    };
    int first = warp * (UNROLL * 64);
    for (; first + UNROLL * 64 <= K; first += WARPS_K * UNROLL * 64) round(first, true);
    if (first < K) round(first, false);

    // Lane l holds weights l / 4 (+ 8), tokens 2 (l % 4) (+ 1).
    __shared__ int sums[WARPS_K][TOKENS][PITCH];
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
        for (int j = 0; j < NS; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e)
                sums[warp][8 * j + 2 * (lane % 4) + e % 2][16 * i + lane / 4 + e / 2 * 8] = acc[i][j][e];
    __syncthreads();
    for (int i = threadIdx.x; i < ROWS * TOKENS; i += THREADS) {
        const int n = i % ROWS, t = i / ROWS;
        if (n0 + n >= N || t0 + t >= M) continue;
        int v = sums[0][t][n];
#pragma unroll
        for (int p = 1; p < WARPS_K; ++p) v += sums[p][t][n];
        out[(int64_t)(t0 + t) * N + n0 + n] =
            (Out)finish(v, column_of(parameters, n0 + n, N), parameters, parameters.table);
    }
}
