// C[M, N] = A[M, K] x B[N, K]^T, int8 x int8 -> int32, on Hopper's tensor cores: persistent, warp-specialised, TMA.
//
// One producer warp fills a ring of STAGES stages in shared memory by TMA; CONSUMERS warpgroups multiply them with wgmma
// and store the tile by TMA while the producer already fetches the next tile. CLUSTER_M x CLUSTER_N CTAs work on
// neighbouring tiles in step: those in a column of the cluster share B's box, those in a row share A's, each fetching its
// part of it once from L2 and multicasting it to all.
//
// K: a multiple of 16 (TMA's strides); N: any if STORE_TMA is 0, else rows of the output are a multiple of 16 bytes; M: any.
#ifndef TILE_M
#define TILE_M 128
#define TILE_N 256
#endif
#ifndef STAGES
#define STAGES 4
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef CLUSTER_M
#define CLUSTER_M 1
#endif
#ifndef CLUSTER_N
#define CLUSTER_N 1
#endif
#ifndef GROUP
#define GROUP 8  // rows of cluster tiles of a supergroup
#endif
#ifndef STORE_TMA
#define STORE_TMA 1
#endif
#ifndef STAGING
#define STAGING 1  // boxes per warp on their way out; more than 1 gained nothing
#endif
#ifndef PINGPONG
#define PINGPONG 0  // 0: the warpgroups share each tile; 1: each has its own, and stores it while another one multiplies
#endif
#ifndef EVICT_FIRST
#define EVICT_FIRST 0  // 1: L2 gives up the output first
#endif
#define KEEP (BIAS || (OUT_INT8 && PER_COLUMN))
#define TILE_K 128  // one row of the 128-byte swizzle
#define CLUSTER (CLUSTER_M * CLUSTER_N)
#define THREADS (128 * (CONSUMERS + 1))
#define SHARERS (PINGPONG ? 1 : CONSUMERS)  // warpgroups of a tile
#define BLOCKS_M (TILE_M / (64 * SHARERS))  // wgmma's 64 rows per warpgroup
#define BYTES_A (TILE_M * TILE_K)
#define BYTES_B (TILE_N * TILE_K)
#define OUT_BYTES (OUT_INT8 ? 1 : 4)
#define BOX_BYTES (TILE_N * OUT_BYTES < 128 ? TILE_N * OUT_BYTES : 128)  // a row of a box: 32, 64 or 128
#define BOX (16 * BOX_BYTES)  // each warp stores its own 16 rows: no barrier among warps
#define BOX_COLUMNS (BOX_BYTES / OUT_BYTES)
#define BOXES (TILE_N / BOX_COLUMNS)
static_assert(TILE_M % (64 * SHARERS) == 0 && TILE_N % BOX_COLUMNS == 0, "tile");
static_assert(!PINGPONG || CONSUMERS == 2, "two take turns");
static_assert(BOX_BYTES == 128 || BOX_BYTES == 64 || BOX_BYTES == 32, "box");
static_assert(TILE_M % (8 * CLUSTER_N) == 0 && TILE_N % (8 * CLUSTER_M) == 0, "parts of 8 rows keep the swizzle");

__device__ __forceinline__ void release(uint32_t barrier, int cta)
{
    if (CLUSTER > 1) barrier_arrive_at(barrier, cta);
    else barrier_arrive(barrier);
}

// Where TMA's swizzle has a byte of row r of a box: 16-byte chunk q of rows of 128 bytes at chunk q ^ (r % 8), of 64 bytes
// at q ^ (r / 2 % 4), of 32 bytes at q ^ (r / 4 % 2).
__device__ __forceinline__ uint32_t in_box(int r, int byte)
{
    const int turn = BOX_BYTES == 128 ? r & 7 : BOX_BYTES == 64 ? r >> 1 & 3 : r >> 2 & 1;
    return r * BOX_BYTES + ((byte >> 4 ^ turn) << 4) + (byte & 15);
}

// 4 bytes to shared memory in the background, or 0.
__device__ __forceinline__ void keep(uint32_t to, const int *from, bool inside)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(inside ? 4 : 0) : "memory");
}

// The parameters of columns n and n + 1 of the tile.
__device__ __forceinline__ void kept_of(const Finish &f, const int *kept, int n, Column &c, Column &d)
{
    c = d = Column{0, f.all_multiplier, f.all_shift};
#if BIAS
    const int2 b = *(const int2 *)(kept + n);
    c.bias = b.x, d.bias = b.y;
#endif
#if OUT_INT8 && PER_COLUMN
    const int2 m = *(const int2 *)(kept + TILE_N + n), s = *(const int2 *)(kept + 2 * TILE_N + n);
    c.multiplier = m.x, d.multiplier = m.y, c.shift = s.x, d.shift = s.y;
#endif
}

#if CLUSTER_M * CLUSTER_N > 1
#define IN_CLUSTER __cluster_dims__(CLUSTER, 1, 1)
#else
#define IN_CLUSTER
#endif
extern "C" __global__ void IN_CLUSTER __launch_bounds__(THREADS, 1)
    gemm(const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b,
         const __grid_constant__ CUtensorMap map_c, Out *__restrict__ out, int M, int N, int K, const Finish parameters)
{
    // The swizzle works on address bits, so every tile starts at a multiple of 1024; so does dynamic shared memory where
    // there is no static one.
    extern __shared__ __align__(1024) uint8_t memory[];
    const uint32_t base = shared_address(memory);
    if (base % 1024) __trap();
    const uint32_t stage_a = base, stage_b = base + STAGES * BYTES_A, boxes = stage_b + STAGES * BYTES_B;
    const uint32_t tail = boxes + 4 * CONSUMERS * STAGING * BOX;
    const uint32_t full = tail, empty = tail + 8 * STAGES, turn = empty + 8 * STAGES;
    int8_t *const table = (int8_t *)(memory + (turn + 16 - base));
    int *const kept = (int *)(table + 256);  // per warpgroup: bias, multiplier, shift of the tile's columns

    const int warpgroup = __shfl_sync(~0u, threadIdx.x / 128, 0), warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    const uint32_t rank = CLUSTER > 1 ? cluster_rank() : 0, rank_m = rank % CLUSTER_M, rank_n = rank / CLUSTER_M;
    const int rows = (M + TILE_M * CLUSTER_M - 1) / (TILE_M * CLUSTER_M);
    const int columns = (N + TILE_N * CLUSTER_N - 1) / (TILE_N * CLUSTER_N);
    const int tiles = rows * columns, steps = (K + TILE_K - 1) / TILE_K;
    const int first = blockIdx.x / CLUSTER, stride = gridDim.x / CLUSTER;

    if (threadIdx.x == 0) {
        prefetch_map(&map_a);
        prefetch_map(&map_b);
        if (STORE_TMA) prefetch_map(&map_c);
        for (int s = 0; s < STAGES; ++s) {
            // full: the producer's one arrival and the bytes of A and B, whoever sends them.
            barrier_init(full + 8 * s, 1);
            // empty: every warp that reads the stage, of every CTA that this CTA's boxes go to.
            barrier_init(empty + 8 * s, 4 * SHARERS * (CLUSTER_M + CLUSTER_N - 1));
        }
        // turn: the warps of one warpgroup tell the other that it may multiply.
        for (int w = 0; w < 2; ++w) barrier_init(turn + 8 * w, 4);
        barriers_ready();
    }
#if TABLE
    for (int i = threadIdx.x; i < 256; i += THREADS) table[i] = parameters.table[i];
#endif
    __syncthreads();
    if (CLUSTER > 1) {
        cluster_arrive();
        cluster_wait();
    }

    if (warpgroup == 0) {  // the producer: its registers go to the consumers
#if CONSUMERS == 3
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
#else
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
#endif
        if (threadIdx.x == 0) {
            int stage = 0;
            uint32_t phase = 0;
            for (int tile = first; tile < tiles; tile += stride) {
                int row, column;
                locate(tile, rows, columns, GROUP, row, column);
                // This CTA's part of the shared boxes.
                const int part_a = TILE_M / CLUSTER_N, part_b = TILE_N / CLUSTER_M;
                const int y_a = (row * CLUSTER_M + rank_m) * TILE_M + rank_n * part_a;
                const int y_b = (column * CLUSTER_N + rank_n) * TILE_N + rank_m * part_b;
                for (int step = 0; step < steps; ++step) {
                    // Round r of the ring waits for the release of round r - 1, the empty barrier's phase r - 1; in
                    // round 0 parity 1 passes at once.
                    barrier_wait(empty + 8 * stage, phase ^ 1);
                    const uint32_t ready = full + 8 * stage;
                    barrier_expect(ready, BYTES_A + BYTES_B);
                    const uint32_t to_a = stage_a + stage * BYTES_A + rank_n * part_a * TILE_K;
                    const uint32_t to_b = stage_b + stage * BYTES_B + rank_m * part_b * TILE_K;
                    if (CLUSTER_N > 1) {
                        uint32_t mask = 0;
                        for (int i = 0; i < CLUSTER_N; ++i) mask |= 1u << (rank_m + i * CLUSTER_M);
                        load_box_to(to_a, &map_a, step * TILE_K, y_a, ready, mask);
                    } else {
                        load_box(to_a, &map_a, step * TILE_K, y_a, ready);
                    }
                    if (CLUSTER_M > 1) {
                        const uint32_t mask = ((1u << CLUSTER_M) - 1) << (rank_n * CLUSTER_M);
                        load_box_to(to_b, &map_b, step * TILE_K, y_b, ready, mask);
                    } else {
                        load_box(to_b, &map_b, step * TILE_K, y_b, ready);
                    }
                    if (++stage == STAGES) stage = 0, phase ^= 1;
                }
            }
        }
    } else {
#if CONSUMERS == 2
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
#elif CONSUMERS == 3
        asm volatile("setmaxnreg.inc.sync.aligned.u32 160;");
#else
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
#endif
        const int consumer = warpgroup - 1;
        const int mine = PINGPONG ? 0 : consumer * 64 * BLOCKS_M;  // first row in the tile
        const uint32_t my_a = stage_a + mine * TILE_K;
        const uint32_t my_boxes = boxes + (4 * consumer + warp) * STAGING * BOX;
        int box = 0;
        // Lane i of each warp releases stages of the cluster's CTA i, if that one sends boxes here.
        const bool releases = lane < CLUSTER && (lane % CLUSTER_M == rank_m || lane / CLUSTER_M == rank_n);
        const uint32_t my_kept = shared_address(kept) + consumer * (3 * TILE_N * 4);
        int acc[BLOCKS_M][TILE_N / 2];
        int stage = 0;
        uint32_t phase = 0;
        // The ring holds the steps of all the CTA's tiles in order; in ping-pong each warpgroup skips the other's steps, and
        // takes turns with it: a wait for a phase by its parity is right only when the phase before has been seen to end.
        // The first one's turn at its tile i comes with phase i - 1 of its barrier, the other's with phase i.
        uint32_t turns = consumer ^ 1;
        auto skip = [&](int count) {
            phase ^= (stage + count) / STAGES & 1;
            stage = (stage + count) % STAGES;
        };
        if (PINGPONG) skip(consumer * steps);
        for (int tile = first + (PINGPONG ? consumer * stride : 0); tile < tiles; tile += stride * (PINGPONG ? CONSUMERS : 1)) {
            int row, column;
            locate(tile, rows, columns, GROUP, row, column);
#if KEEP
            // The columns' parameters come to shared memory in the background of the products, once the warpgroup has used the
            // old ones.
            {
                named_sync(1 + consumer, 128);
                const int x = (column * CLUSTER_N + rank_n) * TILE_N;
                for (int i = threadIdx.x % 128; i < TILE_N; i += 128) {
                    const bool inside = x + i < N;
                    if (BIAS) keep(my_kept + 4 * i, parameters.bias + (inside ? x + i : 0), inside);
                    if (OUT_INT8 && PER_COLUMN) {
                        keep(my_kept + 4 * (TILE_N + i), parameters.multiplier + (inside ? x + i : 0), inside);
                        keep(my_kept + 4 * (2 * TILE_N + i), parameters.shift + (inside ? x + i : 0), inside);
                    }
                }
            }
#endif
            if (PINGPONG) {
                barrier_wait(turn + 8 * consumer, turns);
                turns ^= 1;
            }
            int before = 0;
            for (int step = 0; step < steps; ++step) {
                barrier_wait(full + 8 * stage, phase);
                wgmma_fence();
#pragma unroll
                for (int k = 0; k < TILE_K / 32; ++k) {
                    const uint64_t b = descriptor(stage_b + stage * BYTES_B) + 2 * k;
#pragma unroll
                    for (int i = 0; i < BLOCKS_M; ++i)
                        wgmma(acc[i], descriptor(my_a + stage * BYTES_A + i * (64 * TILE_K)) + 2 * k, b, step | k);
                }
                wgmma_commit();
                // All but this step's products are done: the stage before is free.
                wgmma_wait<1>();
                if (step > 0 && releases) release(empty + 8 * before, lane);
                before = stage;
                if (++stage == STAGES) stage = 0, phase ^= 1;
            }
            if (PINGPONG && lane == 0) barrier_arrive(turn + 8 * (consumer ^ 1));
            wgmma_wait<0>();
            if (releases) release(empty + 8 * before, lane);
            if (PINGPONG) skip((CONSUMERS - 1) * steps);

#if KEEP
            asm volatile("cp.async.wait_all;" ::: "memory");
            named_sync(1 + consumer, 128);
#endif
            // Lane l of warp w holds rows 16 w + l / 4 (+ 8) and columns 8 j + 2 (l % 4) (+ 1) of each 64 x TILE_N block.
            const int x0 = (column * CLUSTER_N + rank_n) * TILE_N;
            const int y0 = (row * CLUSTER_M + rank_m) * TILE_M + mine;
            const int y_warp = y0 + 16 * warp, x_in = 2 * (lane % 4);
#pragma unroll
            for (int i = 0; i < BLOCKS_M; ++i) {
#pragma unroll
                for (int c = 0; c < BOXES; ++c) {
                    const uint32_t to = my_boxes + box * BOX;
                    if (STORE_TMA && lane == 0) stores_read<STAGING - 1>();  // the box STAGING ago has been read
                    __syncwarp();
#pragma unroll
                    for (int j = 0; j < BOX_COLUMNS / 8; ++j) {
                        const int x = 8 * j + x_in;
                        const int *const d = acc[i] + 4 * (c * (BOX_COLUMNS / 8) + j);
                        Column left, right;
                        kept_of(parameters, kept + consumer * (3 * TILE_N), c * BOX_COLUMNS + x, left, right);
#pragma unroll
                        for (int h = 0; h < 2; ++h) {
                            const int r = lane / 4 + 8 * h;
                            const int v = finish(d[2 * h], left, parameters, table);
                            const int w = finish(d[2 * h + 1], right, parameters, table);
                            const uint32_t at = to + in_box(r, x * OUT_BYTES);
#if OUT_INT8
                            const uint16_t pair = (uint16_t)((v & 255) | w << 8);
                            asm volatile("st.shared.u16 [%0], %1;" ::"r"(at), "h"(pair) : "memory");
#else
                            asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(at), "r"(v), "r"(w) : "memory");
#endif
                        }
                    }
#if STORE_TMA
                    fence_shared();
                    __syncwarp();
                    if (lane == 0) store_box(&map_c, x0 + c * BOX_COLUMNS, y_warp + 64 * i, to, EVICT_FIRST);
                    if (++box == STAGING) box = 0;
#else
                    // Rows that TMA cannot address: 4 bytes per lane, 128 in a row per warp.
                    __syncwarp();
#pragma unroll 4
                    for (int r0 = 0; r0 < 16; r0 += 128 / BOX_BYTES) {
                        const int r = r0 + lane * 4 / BOX_BYTES, byte = lane * 4 % BOX_BYTES;
                        uint32_t four;
                        asm volatile("ld.shared.b32 %0, [%1];" : "=r"(four) : "r"(to + in_box(r, byte)) : "memory");
                        const int y = y_warp + 64 * i + r, x = x0 + c * BOX_COLUMNS + byte / OUT_BYTES;
                        if (y >= M || x >= N) continue;
                        Out *const at = out + (int64_t)y * N + x;
                        if (!OUT_INT8 || N % 4 == 0) {
                            *(uint32_t *)at = four;
                        } else {
                            for (int e = 0; e < 4 && x + e < N; ++e) at[e] = (Out)(int8_t)(four >> 8 * e);
                        }
                    }
#endif
                }
            }
        }
        if (STORE_TMA && lane == 0) stores_done();
    }
    // No CTA leaves while another may still write to its stages or arrive at its barriers.
    if (CLUSTER > 1) {
        __syncwarp();
        cluster_arrive();
        cluster_wait();
    }
}
