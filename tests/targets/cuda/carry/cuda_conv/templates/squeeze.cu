// Squeeze and excite of one image: sums -> rescale (the mean) -> 1 x 1 -> rescale, table -> 1 x 1 -> rescale, table -> gates.
// A cluster of CLUSTER blocks an image (sm_90), or one block. Rows of both products are shared out among groups of lanes.
//
// Constants: C, MID, CLUSTER, THREADS. down: int8 [MID, C]; up: int8 [C, MID rounded up to 16], zeros in what the pitch adds.
// Grid: CLUSTER * images.
#define MIDS ((MID + 15) / 16 * 16)
#define CHUNKS_1 (C / 16)
#define CHUNKS_2 (MIDS / 16)
#define POWER(n) ((n) > 16 ? 32 : (n) > 8 ? 16 : (n) > 4 ? 8 : (n) > 2 ? 4 : (n) > 1 ? 2 : 1)
#define LANES_1 POWER(CHUNKS_1)
#define LANES_2 POWER(CHUNKS_2)
#define EACH_1 ((CHUNKS_1 + LANES_1 - 1) / LANES_1)
#define EACH_2 ((CHUNKS_2 + LANES_2 - 1) / LANES_2)
#define SHARE_1 ((MID + CLUSTER - 1) / CLUSTER)
#define SHARE_2 ((C + CLUSTER - 1) / CLUSTER)
#define GROUPS_1 (THREADS / LANES_1)
#define GROUPS_2 (THREADS / LANES_2)
#define ROUNDS_1 ((SHARE_1 + GROUPS_1 - 1) / GROUPS_1)
#define ROUNDS_2 ((SHARE_2 + GROUPS_2 - 1) / GROUPS_2)
#define EARLY (ROUNDS_1 * EACH_1 + ROUNDS_2 * EACH_2 <= 16)  // weights come to registers before the sums are waited for

constexpr int UNROLL_1 = EARLY ? ROUNDS_1 : 1, UNROLL_2 = EARLY ? ROUNDS_2 : 1;

struct Squeeze {
    const int32_t *sums;
    const int8_t *down, *up;
    const int32_t *bias_1, *multiplier_1, *shift_1, *bias_2, *multiplier_2, *shift_2;
    const uint8_t *table_1, *table_2;
    uint8_t *gate;
    int32_t centre;  // pixels times the zero point of what was summed
    int32_t mean_multiplier, mean_shift, mean_zero, mean_low, mean_high;
    int32_t zero_1, low_1, high_1, zero_2, low_2, high_2;
};

__device__ __forceinline__ int dot(uint4 a, uint4 b, int c)
{
    c = __dp4a((int)a.x, (int)b.x, c), c = __dp4a((int)a.y, (int)b.y, c);
    return __dp4a((int)a.w, (int)b.w, __dp4a((int)a.z, (int)b.z, c));
}

#if CLUSTER > 1
#define IN_CLUSTER __cluster_dims__(CLUSTER, 1, 1)
#else
#define IN_CLUSTER
#endif

extern "C" __global__ void IN_CLUSTER __launch_bounds__(THREADS) squeeze(const __grid_constant__ Squeeze p)
{
    __shared__ __align__(16) int8_t mean[C];
    __shared__ __align__(16) int8_t mid[MIDS];
    __shared__ __align__(16) uint8_t table[512];
    let_next_start();
    const int image = blockIdx.x / CLUSTER, rank = blockIdx.x % CLUSTER;
    const int row_1 = threadIdx.x / LANES_1, lane_1 = threadIdx.x % LANES_1, row_2 = threadIdx.x / LANES_2, lane_2 = threadIdx.x % LANES_2;
    const int end_1 = min((rank + 1) * SHARE_1, MID), end_2 = min((rank + 1) * SHARE_2, C);
    const uint4 zeros = make_uint4(0, 0, 0, 0);
    auto down = [&](int r, int e) {
        const int row = rank * SHARE_1 + r * GROUPS_1 + row_1, chunk = e * LANES_1 + lane_1;
        return row < end_1 && chunk < CHUNKS_1 ? ((const uint4 *)p.down)[row * CHUNKS_1 + chunk] : zeros;
    };
    auto up = [&](int r, int e) {
        const int row = rank * SHARE_2 + r * GROUPS_2 + row_2, chunk = e * LANES_2 + lane_2;
        return row < end_2 && chunk < CHUNKS_2 ? ((const uint4 *)p.up)[row * CHUNKS_2 + chunk] : zeros;
    };
#if EARLY
    uint4 w1[ROUNDS_1][EACH_1], w2[ROUNDS_2][EACH_2];
#pragma unroll
    for (int r = 0; r < ROUNDS_1; ++r)
#pragma unroll
        for (int e = 0; e < EACH_1; ++e) w1[r][e] = down(r, e);
#pragma unroll
    for (int r = 0; r < ROUNDS_2; ++r)
#pragma unroll
        for (int e = 0; e < EACH_2; ++e) w2[r][e] = up(r, e);
#define DOWN(r, e) w1[r][e]
#define UP(r, e) w2[r][e]
#else
#define DOWN(r, e) down(r, e)
#define UP(r, e) up(r, e)
#endif
    for (int i = threadIdx.x; i < 64; i += THREADS) ((uint32_t *)table)[i] = ((const uint32_t *)p.table_1)[i];
    for (int i = threadIdx.x; i < 64; i += THREADS) ((uint32_t *)table)[64 + i] = ((const uint32_t *)p.table_2)[i];
    auto column_1 = [&](int r) {
        const int row = min(rank * SHARE_1 + r * GROUPS_1 + row_1, MID - 1);
        return column(p.bias_1[row], p.multiplier_1[row], p.shift_1[row]);
    };
    auto column_2 = [&](int r) {
        const int row = min(rank * SHARE_2 + r * GROUPS_2 + row_2, C - 1);
        return column(p.bias_2[row], p.multiplier_2[row], p.shift_2[row]);
    };
#if EARLY
    Column c1[ROUNDS_1], c2[ROUNDS_2];
#pragma unroll
    for (int r = 0; r < ROUNDS_1; ++r) c1[r] = column_1(r);
#pragma unroll
    for (int r = 0; r < ROUNDS_2; ++r) c2[r] = column_2(r);
#define COLUMN_1(r) c1[r]
#define COLUMN_2(r) c2[r]
#else
#define COLUMN_1(r) column_1(r)
#define COLUMN_2(r) column_2(r)
#endif
    for (int i = threadIdx.x; i < MIDS; i += THREADS) mid[i] = 0;
    __syncthreads();
#if CLUSTER > 1
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");  // mid is zeroed here
#endif
    wait_for_input();
    for (int i = threadIdx.x; i < C; i += THREADS)
        mean[i] = (int8_t)clip(scaled(__ldcg(p.sums + image * C + i) - p.centre, p.mean_multiplier, p.mean_shift) + p.mean_zero, p.mean_low,
                               p.mean_high);
    __syncthreads();
#if CLUSTER > 1
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");  // all have zeroed mid
#endif
#pragma unroll(UNROLL_1)
    for (int r = 0; r < ROUNDS_1; ++r) {
        int a = 0;
#pragma unroll
        for (int e = 0; e < EACH_1; ++e) {
            const int chunk = e * LANES_1 + lane_1;
            a = dot(DOWN(r, e), chunk < CHUNKS_1 ? ((const uint4 *)mean)[chunk] : zeros, a);
        }
#pragma unroll
        for (int d = LANES_1 / 2; d; d /= 2) a += __shfl_xor_sync(~0u, a, d);
        const int row = rank * SHARE_1 + r * GROUPS_1 + row_1;
        const Column c = COLUMN_1(r);
        const int v = clip((upper(a, c.multiplier, c.addend) >> c.more) + p.zero_1, p.low_1, p.high_1);
        const int t = table[v + 128];
        if (row < end_1) {
#if CLUSTER > 1
            for (int i = lane_1; i < CLUSTER; i += LANES_1)  // lane i to block i
                asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\nst.shared::cluster.u8 [there], %2;\n}" ::"r"(
                                 (uint32_t)__cvta_generic_to_shared(mid + row)),
                             "r"(i), "r"(t)
                             : "memory");
#else
            if (lane_1 == 0) mid[row] = (int8_t)t;
#endif
        }
    }
#if CLUSTER > 1
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
    __syncthreads();
#endif
#pragma unroll(UNROLL_2)
    for (int r = 0; r < ROUNDS_2; ++r) {
        int a = 0;
#pragma unroll
        for (int e = 0; e < EACH_2; ++e) {
            const int chunk = e * LANES_2 + lane_2;
            a = dot(UP(r, e), chunk < CHUNKS_2 ? ((const uint4 *)mid)[chunk] : zeros, a);
        }
#pragma unroll
        for (int d = LANES_2 / 2; d; d /= 2) a += __shfl_xor_sync(~0u, a, d);
        const int row = rank * SHARE_2 + r * GROUPS_2 + row_2;
        const Column c = COLUMN_2(r);
        const int v = clip((upper(a, c.multiplier, c.addend) >> c.more) + p.zero_2, p.low_2, p.high_2);
        if (row < end_2 && lane_2 == 0) p.gate[image * C + row] = table[256 + v + 128];
    }
}
