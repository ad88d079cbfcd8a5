// C[M, N] = A[M, K] x B[N, K]^T, int8 x int8 -> int32, for M = BATCH of 1 to 8 vectors: the time is that of B's bytes.
//
// A warp takes ROWS rows of B, WARPS_K warps share them along K, WARPS_N such teams make a block. Each lane asks for
// UNROLL x ROWS pieces of 16 bytes before it uses the first; dp4a multiplies; A comes from L1, its 16 bytes used for all
// rows. K: a multiple of 16; N: any.
#ifndef BATCH
#define BATCH 1
#endif
#ifndef ROWS
#define ROWS 4
#endif
#ifndef WARPS_N
#define WARPS_N 4
#endif
#ifndef WARPS_K
#define WARPS_K 1
#endif
#ifndef UNROLL
#define UNROLL 4
#endif
#define THREADS (32 * WARPS_N * WARPS_K)
#define SUMS (BATCH * ROWS)

// Weights are read once: not kept in L1. No .nc: ptxas would move such loads to their uses, over the __syncwarp below.
__device__ __forceinline__ int4 stream(const int8_t *p)
{
    int4 v;
    asm volatile("ld.global.L1::no_allocate.v4.s32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

__device__ __forceinline__ int sum_of_warp(int v)
{
#if __CUDA_ARCH__ >= 800
    return __reduce_add_sync(~0u, v);  // one instruction, redux
#else
#pragma unroll
    for (int i = 16; i; i /= 2) v += __shfl_xor_sync(~0u, v, i);
    return v;
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS)
    gemv(const int8_t *__restrict__ a, const int8_t *__restrict__ b, Out *__restrict__ out, int M, int N, int K,
         const Finish parameters)
{
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, team = warp / WARPS_K, part = warp % WARPS_K;
    const int n0 = (blockIdx.x * WARPS_N + team) * ROWS, chunks = K / 16;
    const int8_t *row[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) row[r] = b + (int64_t)min(n0 + r, N - 1) * K;  // beyond the edge: read, not stored
    int acc[BATCH][ROWS];
#pragma unroll
    for (int i = 0; i < BATCH; ++i)
#pragma unroll
        for (int r = 0; r < ROWS; ++r) acc[i][r] = 0;

    // A round of UNROLL x ROWS loads. Whole rounds test nothing, so that all their loads stand before the first use; the last
    // one reads the last chunk where there is none, and counts it as 0.
    auto round = [&](int first, bool whole) {
        int4 w[UNROLL][ROWS];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u)
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const int c = first + u * (WARPS_K * 32) + lane;
                w[u][r] = stream(row[r] + (whole ? c : min(c, chunks - 1)) * 16);
            }
        __syncwarp();  // keeps all loads of the round before its first use (SASS: 14 of 16 in flight)
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int c = first + u * (WARPS_K * 32) + lane;
            if (!whole && c >= chunks) continue;
#pragma unroll
            for (int i = 0; i < BATCH; ++i) {
                const int4 x = __ldg((const int4 *)(a + (int64_t)min(i, M - 1) * K) + c);
#pragma unroll
                for (int r = 0; r < ROWS; ++r) {
                    acc[i][r] = __dp4a(w[u][r].x, x.x, acc[i][r]);
                    acc[i][r] = __dp4a(w[u][r].y, x.y, acc[i][r]);
                    acc[i][r] = __dp4a(w[u][r].z, x.z, acc[i][r]);
                    acc[i][r] = __dp4a(w[u][r].w, x.w, acc[i][r]);
                }
            }
        }
    };
    const int stride = UNROLL * WARPS_K * 32;
    int first = part * 32;
    for (; first + stride - WARPS_K * 32 + 32 <= chunks; first += stride) round(first, true);
    if (first < chunks) round(first, false);

    // Sum s (of BATCH x ROWS) ends in lane s of the warp; more than 32 take two rounds.
    int mine[(SUMS + 31) / 32];
#pragma unroll
    for (int i = 0; i < BATCH; ++i)
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const int s = i * ROWS + r, total = sum_of_warp(acc[i][r]);
            if (lane == s % 32) mine[s / 32] = total;
        }
#if WARPS_K > 1
    __shared__ int sums[WARPS_N][WARPS_K][SUMS];
#pragma unroll
    for (int q = 0; q < (SUMS + 31) / 32; ++q)
        if (q * 32 + lane < SUMS) sums[team][part][q * 32 + lane] = mine[q];
    __syncthreads();
    if (part) return;
#endif
#pragma unroll
    for (int q = 0; q < (SUMS + 31) / 32; ++q) {
        const int s = q * 32 + lane, i = s / ROWS, n = n0 + s % ROWS;
        if (s >= SUMS || i >= M || n >= N) continue;
        int v = mine[q];
#if WARPS_K > 1
#pragma unroll
        for (int p = 1; p < WARPS_K; ++p) v += sums[team][p][s];
#endif
        out[(int64_t)i * N + n] = (Out)finish(v, column_of(parameters, n, N), parameters, parameters.table);
    }
}
