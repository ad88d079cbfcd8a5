// BlockMatMul: rows in block floating point (int8 significands, an exponent for each 32) times int8 weights with an int32 scale
// for each block, summed in int64, and the chain behind it.
//
// weights [N][K], scales [N][K / 32]. KIND 0, one row: a lane takes whole blocks, dp4a. KIND 1, up to 8 NS rows: mma, one
// block per mma; there each 64 bytes of a row of weights are ordered so that 16 bytes are 8 of both blocks (see wush.py).
__device__ __forceinline__ uint4 stream(const int8_t *p)
{
    uint4 v;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}
__device__ __forceinline__ int64_t of_block(int sum, int scale, int exponent) { return ((int64_t)sum * scale) << exponent; }
// A sum of 64 bits over the warp, of values below 2^47.
__device__ __forceinline__ int64_t sum_of_warp(int64_t v)
{
    const int high = __reduce_add_sync(~0u, (int)(v >> 32)), middle = __reduce_add_sync(~0u, (int)(v >> 16 & 0xffff)),
              low = __reduce_add_sync(~0u, (int)(v & 0xffff));
    return ((int64_t)high << 32) + ((int64_t)middle << 16) + low;
}

#if KIND == 0
#define THREADS (32 * WARPS_N * WARPS_K)
extern "C" __global__ void BOUNDS
    product(const int8_t *x, const int8_t *exponents, const int8_t *__restrict__ weights, const int32_t *__restrict__ scales,
            const int32_t *__restrict__ columns, const int32_t *__restrict__ table_words, Y *__restrict__ y, int M, int N, int K)
{
    __shared__ int64_t sums[WARPS_N][WARPS_K][ROWS];
    __shared__ int32_t tables[WORDS ? WORDS : 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, team = warp / WARPS_K, part = warp % WARPS_K, blocks = K / 32;
    const int n0 = (blockIdx.x * WARPS_N + team) * ROWS, n = blockIdx.x * (WARPS_N * ROWS) + threadIdx.x;
    const bool finishes = threadIdx.x < WARPS_N * ROWS && n < N;
#if AFTER
    asm volatile("griddepcontrol.launch_dependents;");
#endif
    const Columns p(columns, finishes ? n : 0, N);
    for (int i = threadIdx.x; i < WORDS; i += THREADS) tables[i] = table_words[i];
    int64_t acc[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; ++r) acc[r] = 0;
#if AFTER
    bool waited = false;
#endif
    for (int first = part * 32; first < blocks; first += UNROLL * WARPS_K * 32) {
        uint4 w[UNROLL][ROWS][2];
        int s[UNROLL][ROWS];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u)
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const int c = min(first + u * (WARPS_K * 32) + lane, blocks - 1);
                const int64_t at = (int64_t)min(n0 + r, N - 1) * blocks + c;
                w[u][r][0] = stream(weights + at * 32), w[u][r][1] = stream(weights + at * 32 + 16);
                s[u][r] = __ldcs(scales + at);
            }
        __syncwarp();
#if AFTER
        if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
        waited = true;
#endif
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int c = first + u * (WARPS_K * 32) + lane;
            if (c >= blocks) continue;
            const int4 a = *(const int4 *)(x + c * 32), b = *(const int4 *)(x + c * 32 + 16);
            const int e = exponents[c];
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const uint4 &v = w[u][r][0], &z = w[u][r][1];
                int d = __dp4a((int)v.x, a.x, 0), f = __dp4a((int)z.x, b.x, 0);
                d = __dp4a((int)v.y, a.y, d), f = __dp4a((int)z.y, b.y, f);
                d = __dp4a((int)v.z, a.z, d), f = __dp4a((int)z.z, b.z, f);
                d = __dp4a((int)v.w, a.w, d), f = __dp4a((int)z.w, b.w, f);
                acc[r] += of_block(d + f, s[u][r], e);
            }
        }
    }
#if AFTER
    if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const int64_t total = sum_of_warp(acc[r]);
        if (lane == r) sums[team][part][r] = total;
    }
    __syncthreads();
    if (!finishes) return;
    Sum a[1] = {0};
#pragma unroll
    for (int q = 0; q < WARPS_K; ++q) a[0] += sums[threadIdx.x / ROWS][q][threadIdx.x % ROWS];
    y[n] = (Y)chain(a, p, tables);
}
#else
#define THREADS (32 * WARPS_K)
#define PITCH 17
extern "C" __global__ void BOUNDS
    product(const int8_t *x, const int8_t *exponents, const int8_t *__restrict__ weights, const int32_t *__restrict__ scales,
            const int32_t *__restrict__ columns, const int32_t *__restrict__ table_words, Y *__restrict__ y, int M, int N, int K)
{
    __shared__ int64_t sums[WARPS_K][8 * NS][PITCH];
    __shared__ int32_t tables[WORDS ? WORDS : 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4, blocks = K / 32;
    const int n0 = blockIdx.x * 16, t0 = blockIdx.y * (8 * NS), n = n0 + threadIdx.x % 16;
#if AFTER
    asm volatile("griddepcontrol.launch_dependents;");
#endif
    const Columns p(columns, min(n, N - 1), N);
    for (int i = threadIdx.x; i < WORDS; i += THREADS) tables[i] = table_words[i];
    const int8_t *w[2], *from[NS], *e[NS][2];
    const int32_t *s[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        const int64_t row = min(n0 + g + 8 * h, N - 1);
        w[h] = weights + row * K + q * 16, s[h] = scales + row * blocks;
    }
#pragma unroll
    for (int j = 0; j < NS; ++j) {
        from[j] = x + (int64_t)min(t0 + 8 * j + g, M - 1) * K + q * 8;
#pragma unroll
        for (int i = 0; i < 2; ++i) e[j][i] = exponents + (int64_t)min(t0 + 8 * j + 2 * q + i, M - 1) * blocks;
    }
    int64_t acc[NS][4];
#pragma unroll
    for (int j = 0; j < NS; ++j) acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0;
#if AFTER
    bool waited = false;
#endif
    // K is a multiple of 64: two blocks per piece of 64 bytes.
    for (int first = warp * UNROLL; first < blocks / 2; first += WARPS_K * UNROLL) {
        uint4 held[UNROLL][2];
        int2 scale[UNROLL][2];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int c = min(first + u, blocks / 2 - 1);
                held[u][h] = stream(w[h] + c * 64);
                scale[u][h] = *(const int2 *)(s[h] + 2 * c);
            }
        __syncwarp();
#if AFTER
        if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
        waited = true;
#endif
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int c = first + u;
            if (c >= blocks / 2) break;
#pragma unroll
            for (int j = 0; j < NS; ++j)
#pragma unroll
                for (int b = 0; b < 2; ++b) {
                    const uint2 v = *(const uint2 *)(from[j] + c * 64 + b * 32);
                    const int low = e[j][0][2 * c + b], high = e[j][1][2 * c + b];
                    int d[4] = {};
                    const uint4 &k = held[u][0], &l = held[u][1];
                    mma(d, b ? k.z : k.x, b ? l.z : l.x, b ? k.w : k.y, b ? l.w : l.y, v.x, v.y);
                    const int s0 = b ? scale[u][0].y : scale[u][0].x, s1 = b ? scale[u][1].y : scale[u][1].x;
                    acc[j][0] += of_block(d[0], s0, low), acc[j][1] += of_block(d[1], s0, high);
                    acc[j][2] += of_block(d[2], s1, low), acc[j][3] += of_block(d[3], s1, high);
                }
        }
    }
#if AFTER
    if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
#pragma unroll
    for (int j = 0; j < NS; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[warp][8 * j + 2 * q + i % 2][g + i / 2 * 8] = acc[j][i];
    __syncthreads();
    if (n >= N) return;
    for (int t = threadIdx.x / 16; t < 8 * NS && t0 + t < M; t += THREADS / 16) {
        Sum a[1] = {0};
#pragma unroll
        for (int r = 0; r < WARPS_K; ++r) a[0] += sums[r][t][threadIdx.x % 16];
        y[(int64_t)(t0 + t) * N + n] = (Y)chain(a, p, tables);
    }
}
#endif
