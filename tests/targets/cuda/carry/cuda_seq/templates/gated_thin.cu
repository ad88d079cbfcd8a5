// The same for 1 to 32 rows (int16: 16): weights straight from memory to the tensor cores' registers.
//
// A block has TILES tiles of 16 rows of each matrix; its WARPS_K warps share them along K and add up at the end. int16 vectors
// are two columns each: the plane of high bytes, and that of low bytes less 128 (the chain's bias makes good for it).
// The order of K does not matter if it is the same on both sides: see thin.cu of cuda_gemm.
// K: a multiple of 16; M, N: any.
#define THREADS (32 * WARPS_K)
#define ROWS (16 * TILES)
#define PLANES (A16 ? 2 : 1)
#define COLUMNS_ (TOKENS * PLANES)
#define NS (COLUMNS_ / 8)
#define PITCH (ROWS * MATRICES + 4)
#define SUMS MATRICES
static_assert(THREADS % ROWS == 0, "a thread finishes one column");

__device__ __forceinline__ uint4 stream(const int8_t *p)
{
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
__device__ __forceinline__ uint4 vector_piece(const void *p)
{
#if AFTER
    return *(const uint4 *)p;
#else
    return __ldg((const uint4 *)p);
#endif
}

extern "C" __global__ void BOUNDS
    gated(const X *__restrict__ x, const int8_t *__restrict__ b0, const int8_t *__restrict__ b1, const uint32_t *__restrict__ masks,
          const int32_t *__restrict__ columns, const int32_t *__restrict__ table_words, Y *__restrict__ y, int M, int N, int K)
{
    __shared__ int sums[WARPS_K][COLUMNS_][PITCH];
    __shared__ int32_t tables[WORDS ? WORDS : 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int n0 = blockIdx.x * ROWS, t0 = blockIdx.y * TOKENS;
    (void)b1;
    (void)masks;
#if AFTER
    asm volatile("griddepcontrol.launch_dependents;");
#endif
    const int8_t *w[TILES * MATRICES][2];
    const X *from[NS];
#pragma unroll
    for (int i = 0; i < TILES * MATRICES; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h)
            w[i][h] = (MATRICES == 2 && i % 2 ? b1 : b0) + (int64_t)min(n0 + 16 * (i / MATRICES) + 8 * h + lane / 4, N - 1) * K + lane % 4 * 16;
#pragma unroll
    for (int j = 0; j < NS; ++j) from[j] = x + (int64_t)min(t0 + (8 * j + lane / 4) / PLANES, M - 1) * K + lane % 4 * 16;
    const uint32_t select = lane & 4 ? 0x6420 : 0x7531, turn = lane & 4 ? 0x80808080u : 0u;
    (void)select, (void)turn;
    const int n = n0 + threadIdx.x % ROWS;
    const Columns p(columns, min(n, N - 1), N);
    for (int i = threadIdx.x; i < WORDS; i += THREADS) tables[i] = table_words[i];
    int acc[TILES * MATRICES][NS][4];
#pragma unroll
    for (int i = 0; i < TILES * MATRICES; ++i)
#pragma unroll
        for (int j = 0; j < NS; ++j) acc[i][j][0] = acc[i][j][1] = acc[i][j][2] = acc[i][j][3] = 0;

#if AFTER
    bool waited = false;
#endif
    auto round = [&](int first, bool whole) {
        uint4 held[UNROLL][TILES * MATRICES][2];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int k = first + u * 64, back = whole ? 0 : max(k + lane % 4 * 16 + 16 - K, 0);
#pragma unroll
            for (int i = 0; i < TILES * MATRICES; ++i)
#pragma unroll
                for (int h = 0; h < 2; ++h) held[u][i][h] = stream(w[i][h] + k - back);
        }
        __syncwarp();
#if AFTER
        if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
        waited = true;
#endif
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int k = first + u * 64;
#pragma unroll
            for (int j = 0; j < NS; ++j) {
                uint4 v = make_uint4(0, 0, 0, 0);
                if (whole || k + lane % 4 * 16 < K) {
#if A16
                    const uint2 a = plane(vector_piece(from[j] + k), select, turn), b = plane(vector_piece(from[j] + k + 8), select, turn);
                    v = make_uint4(a.x, a.y, b.x, b.y);
#else
                    v = vector_piece(from[j] + k);
#endif
                }
#pragma unroll
                for (int i = 0; i < TILES * MATRICES; ++i) {
                    const uint4 &a = held[u][i][0], &b = held[u][i][1];
                    mma(acc[i][j], a.x, b.x, a.y, b.y, v.x, v.y);
                    mma(acc[i][j], a.z, b.z, a.w, b.w, v.z, v.w);
                }
            }
        }
    };
    int first = warp * (UNROLL * 64);
    for (; first + UNROLL * 64 <= K; first += WARPS_K * UNROLL * 64) round(first, true);
    if (first < K) round(first, false);
#if AFTER
    if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
#endif

    // Lane l holds weights l / 4 (+ 8), columns 2 (l % 4) (+ 1).
#pragma unroll
    for (int i = 0; i < TILES * MATRICES; ++i)
#pragma unroll
        for (int j = 0; j < NS; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e)
                sums[warp][8 * j + 2 * (lane % 4) + e % 2][16 * i + lane / 4 + e / 2 * 8] = acc[i][j][e];
    __syncthreads();
    if (n >= N) return;
    const int at = threadIdx.x % ROWS;
    for (int t = threadIdx.x / ROWS; t < TOKENS && t0 + t < M; t += THREADS / ROWS) {
        Sum a[SUMS];
#pragma unroll
        for (int s = 0; s < SUMS; ++s) {
            const int r = 16 * (at / 16 * MATRICES + s) + at % 16;
            Sum high = 0, low = 0;
#pragma unroll
            for (int q = 0; q < WARPS_K; ++q) {
                high += sums[q][t * PLANES][r];
                if (A16) low += sums[q][t * PLANES + (A16 ? 1 : 0)][r];
            }
            a[s] = A16 ? 256 * high + low : high;
        }
        y[(int64_t)(t0 + t) * N + n] = (Y)chain(a, p, tables);
    }
}
