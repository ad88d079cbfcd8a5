// Products of one to a few vectors with MATRICES matrices of the same shape [N, K], and the chain that makes one unit of what
// comes out from the sums of its MATRICES rows: gate and up of SwiGLU in one kernel. int8 or (A16) int16 vectors.
//
// A warp takes UNITS units, that is UNITS * MATRICES rows; WARPS_K warps share them along K, WARPS_N such teams make a block.
// With MASKS: one matrix, and MASKS masks of a bit per weight: sums are the whole and, for each mask, what the mask has. Masks
// stand as [N][K / 32][MASKS] words, of which word m has weight 4 j + b of its 32 at bit 8 b + 7 - j: shifted left by j, the
// signs of the four bytes are the mask of four weights, and prmt makes bytes of signs.
// K: a multiple of 16 (32 with MASKS); N: any.
#define THREADS (32 * WARPS_N * WARPS_K)
#define ROWS (UNITS * (MASKS ? 1 : MATRICES))
#define SUMS (MASKS ? 1 + MASKS : MATRICES)
#define HALVES (A16 ? 2 : 1)  // an int16 sum: upper 16 bits of the lanes' sums, lower 16 bits of them
#define KEPT (BATCH * UNITS * SUMS * HALVES)
#define ITEMS (WARPS_N * UNITS * BATCH)
static_assert(ITEMS <= THREADS, "an item per thread");

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
    return __reduce_add_sync(~0u, v);
}
__device__ __forceinline__ int4 vector_piece(const void *p)
{
#if AFTER
    return *(const int4 *)p;  // written by the kernel before, which may still run when this one starts: no .nc
#else
    return __ldg((const int4 *)p);
#endif
}
// 255 in each byte whose highest bit is set. (__byte_perm masks the selector's bits that ask for signs.)
__device__ __forceinline__ int bytes_of_signs(uint32_t v)
{
    int y;
    asm("prmt.b32 %0, %1, 0, 0xba98;" : "=r"(y) : "r"(v));
    return y;
}
template <int part> __device__ __forceinline__ int dot16(int4 w, int4 x, int sum)
{
    const int a = part ? w.z : w.x, b = part ? w.w : w.y;
    sum = __dp2a_lo(x.x, a, sum);
    sum = __dp2a_hi(x.y, a, sum);
    sum = __dp2a_lo(x.z, b, sum);
    return __dp2a_hi(x.w, b, sum);
}
__device__ __forceinline__ int dot8(int4 w, int4 x, int sum)
{
    sum = __dp4a(w.x, x.x, sum);
    sum = __dp4a(w.y, x.y, sum);
    sum = __dp4a(w.z, x.z, sum);
    return __dp4a(w.w, x.w, sum);
}

extern "C" __global__ void BOUNDS
    gated(const X *__restrict__ x, const int8_t *__restrict__ b0, const int8_t *__restrict__ b1, const uint32_t *__restrict__ masks,
          const int32_t *__restrict__ columns, const int32_t *__restrict__ table_words, Y *__restrict__ y, int M, int N, int K)
{
    __shared__ int sums[WARPS_N][WARPS_K][KEPT];
    __shared__ int32_t tables[WORDS ? WORDS : 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, team = warp / WARPS_K, part = warp % WARPS_K;
    const int n0 = (blockIdx.x * WARPS_N + team) * UNITS;
    // The item that this thread finishes; its parameters are under way from the start.
    const int item = threadIdx.x, i_n = item % (WARPS_N * UNITS), i_t = item / (WARPS_N * UNITS), n = blockIdx.x * (WARPS_N * UNITS) + i_n;
    const bool finishes = item < ITEMS && n < N && i_t < M;
#if AFTER
    asm volatile("griddepcontrol.launch_dependents;");
#endif
    const int8_t *row[ROWS];
    (void)b1;
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
        row[r] = ((MATRICES == 2 && r % 2 && !MASKS) ? b1 : b0) + (int64_t)min(n0 + (MASKS ? r : r / MATRICES), N - 1) * K;
    const uint32_t *mask_row[UNITS];
    (void)mask_row;
#if MASKS
#pragma unroll
    for (int r = 0; r < UNITS; ++r) mask_row[r] = masks + (int64_t)min(n0 + r, N - 1) * (K / 32) * MASKS;
#else
    (void)masks;
#endif
    const Columns p(columns, finishes ? n : 0, N);
    for (int i = threadIdx.x; i < WORDS; i += THREADS) tables[i] = table_words[i];
    int acc[BATCH][UNITS][SUMS];
#pragma unroll
    for (int i = 0; i < BATCH; ++i)
#pragma unroll
        for (int r = 0; r < UNITS; ++r)
#pragma unroll
            for (int s = 0; s < SUMS; ++s) acc[i][r][s] = 0;

#if AFTER
    bool waited = false;
#endif
    const int chunks = K / (MASKS ? 32 : 16);
    auto round = [&](int first, bool whole) {
#if MASKS
        int4 w[UNROLL][ROWS][2];
        uint32_t bits[UNROLL][ROWS][MASKS];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u)
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                int c = first + u * (WARPS_K * 32) + lane;
                if (!whole) c = min(c, chunks - 1);
                w[u][r][0] = stream(row[r] + c * 32), w[u][r][1] = stream(row[r] + c * 32 + 16);
#if MASKS % 4 == 0
#pragma unroll
                for (int m = 0; m < MASKS; m += 4) {
                    const int4 v = stream((const int8_t *)(mask_row[r] + c * MASKS + m));
                    bits[u][r][m] = v.x, bits[u][r][m + 1] = v.y, bits[u][r][m + 2] = v.z, bits[u][r][m + 3] = v.w;
                }
#else
#pragma unroll
                for (int m = 0; m < MASKS; ++m) bits[u][r][m] = __ldcs(mask_row[r] + c * MASKS + m);
#endif
            }
        __syncwarp();
#if AFTER
        if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
        waited = true;
#endif
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int c = first + u * (WARPS_K * 32) + lane;
            if (!whole && c >= chunks) continue;
#pragma unroll
            for (int i = 0; i < BATCH; ++i) {
                const X *const from = x + (int64_t)min(i, M - 1) * K + c * 32;
                const int4 v0 = vector_piece(from), v1 = vector_piece(from + 16);
                const int v[8] = {v0.x, v0.y, v0.z, v0.w, v1.x, v1.y, v1.z, v1.w};
#pragma unroll
                for (int r = 0; r < ROWS; ++r) {
                    const int4 a = w[u][r][0], b = w[u][r][1];
                    const int q[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
                    for (int j = 0; j < 8; ++j) {
                        acc[i][r][0] = __dp4a(q[j], v[j], acc[i][r][0]);
#pragma unroll
                        for (int m = 0; m < MASKS; ++m)
                            acc[i][r][1 + m] = __dp4a(q[j] & bytes_of_signs(bits[u][r][m] << j), v[j], acc[i][r][1 + m]);
                    }
                }
            }
        }
#else
        int4 w[UNROLL][ROWS];
#pragma unroll
        for (int u = 0; u < UNROLL; ++u)
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const int c = first + u * (WARPS_K * 32) + lane;
                w[u][r] = stream(row[r] + (whole ? c : min(c, chunks - 1)) * 16);
            }
        __syncwarp();  // keeps all loads of the round before its first use
#if AFTER
        if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
        waited = true;
#endif
#pragma unroll
        for (int u = 0; u < UNROLL; ++u) {
            const int c = first + u * (WARPS_K * 32) + lane;
            if (!whole && c >= chunks) continue;
#pragma unroll
            for (int i = 0; i < BATCH; ++i) {
                const X *const from = x + (int64_t)min(i, M - 1) * K + c * 16;
                const int4 v = vector_piece(from);
#if A16
                const int4 v2 = vector_piece(from + 8);
#endif
#pragma unroll
                for (int r = 0; r < ROWS; ++r) {
                    int &to = acc[i][r / MATRICES][r % MATRICES];
#if A16
                    to = dot16<0>(w[u][r], v, to);
                    to = dot16<1>(w[u][r], v2, to);
#else
                    to = dot8(w[u][r], v, to);
#endif
                }
            }
        }
#endif
    };
    const int stride = UNROLL * WARPS_K * 32;
    int first = part * 32;
    for (; first + stride - WARPS_K * 32 + 32 <= chunks; first += stride) round(first, true);
    if (first < chunks) round(first, false);
#if AFTER
    if (!waited) asm volatile("griddepcontrol.wait;" ::: "memory");
#endif

#pragma unroll
    for (int i = 0; i < BATCH; ++i)
#pragma unroll
        for (int r = 0; r < UNITS; ++r)
#pragma unroll
            for (int s = 0; s < SUMS; ++s) {
                const int at = ((i * UNITS + r) * SUMS + s) * HALVES, v = acc[i][r][s];
#if A16
                const int high = sum_of_warp(v >> 16), low = sum_of_warp(v & 0xffff);
                if (lane == at % 32) sums[team][part][at] = high;
                if (lane == (at + 1) % 32) sums[team][part][at + 1] = low;
#else
                const int total = sum_of_warp(v);
                if (lane == at % 32) sums[team][part][at] = total;
#endif
            }
    __syncthreads();
    if (!finishes) return;
    Sum a[SUMS];
#pragma unroll
    for (int s = 0; s < SUMS; ++s) {
        const int *const from = &sums[i_n / UNITS][0][((i_t * UNITS + i_n % UNITS) * SUMS + s) * HALVES];
        a[s] = 0;
#pragma unroll
        for (int q = 0; q < WARPS_K; ++q) a[s] += A16 ? (Sum)from[q * KEPT] * 65536 + from[q * KEPT + (A16 ? 1 : 0)] : (Sum)from[q * KEPT];
    }
    y[(int64_t)i_t * N + n] = (Y)chain(a, p, tables);
}
