// C = chain(A[M, K] x B[N, K]^T) on Hopper's tensor cores: gemm_sm90.cu of cuda_gemm, whose epilogue is a chain.
// K: a multiple of 16; N: a multiple of 32 (PAIR) or 16; M: any multiple of 8 (A16: of 16, the rows of whole planes).
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
#ifndef PINGPONG
#define PINGPONG 0  // 0: the warpgroups share each tile; 1: each has its own, and stores it while another one multiplies
#endif
// PAIR: columns 2 u and 2 u + 1 of the product belong to unit u, its int16 goes out as two planes: of token t, the high bytes
// in row 16 (t / 8) + t % 8, the low bytes less 128 in row 8 more. Else A16: rows are such planes, int8 goes out.
#define UNITS (PAIR ? TILE_N / 2 : TILE_N)
#define TILE_K 128  // one row of the 128-byte swizzle
#define CLUSTER (CLUSTER_M * CLUSTER_N)
#define THREADS (128 * (CONSUMERS + 1))
#define SHARERS (PINGPONG ? 1 : CONSUMERS)  // warpgroups of a tile
#define BLOCKS_M (TILE_M / (64 * SHARERS))  // wgmma's 64 rows per warpgroup
#define BYTES_A (TILE_M * TILE_K)
#define BYTES_B (TILE_N * TILE_K)
#define BOX (PAIR ? 32 * UNITS : 8 * UNITS)  // bytes that a warp stages of 16 rows
static_assert(TILE_M % (64 * SHARERS) == 0 && PAIR + A16 == 1, "tile");
static_assert(!PINGPONG || CONSUMERS == 2, "two take turns");
static_assert(TILE_M % (8 * CLUSTER_N) == 0 && TILE_N % (8 * CLUSTER_M) == 0, "parts of 8 rows keep the swizzle");


// Tile number -> tile coordinates in supergroups of so many rows.
__device__ __forceinline__ void locate(int tile, int rows, int columns, int group, int &row, int &column)
{
    const int each = group * columns, first = tile / each * group, high = min(rows - first, group), rest = tile % each;
    row = first + rest % high;
    column = rest / high;
}

__device__ __forceinline__ void release(uint32_t barrier, int cta)
{
    if (CLUSTER > 1) barrier_arrive_at(barrier, cta);
    else barrier_arrive(barrier);
}

// 4 bytes to shared memory in the background, or 0.
__device__ __forceinline__ void keep(uint32_t to, const int *from, bool inside)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(inside ? 4 : 0) : "memory");
}

// Where chunk q of 16 bytes of row r of a warp's staged rows stands: rows of UNITS bytes, turned so that the rows of a quarter
// warp hit other banks.
__device__ __forceinline__ uint32_t staged(int r, int byte) { return r * UNITS + ((byte >> 4 ^ (r & (UNITS / 16 - 1))) << 4) + (byte & 15); }

#if CLUSTER_M * CLUSTER_N > 1
#define IN_CLUSTER __cluster_dims__(CLUSTER, 1, 1)
#else
#define IN_CLUSTER
#endif
extern "C" __global__ void IN_CLUSTER __launch_bounds__(THREADS, 1)
    gated(const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b, int8_t *__restrict__ out, int M,
          int N, int K, const int32_t *__restrict__ parameters, const int32_t *__restrict__ table_words)
{
    // The swizzle works on address bits, so every tile starts at a multiple of 1024; so does dynamic shared memory where
    // there is no static one.
    extern __shared__ __align__(1024) uint8_t memory[];
    const uint32_t base = shared_address(memory);
    if (base % 1024) __trap();
    const uint32_t stage_a = base, stage_b = base + STAGES * BYTES_A, boxes = stage_b + STAGES * BYTES_B;
    const uint32_t tail = boxes + 4 * CONSUMERS * BOX;
    const uint32_t full = tail, empty = tail + 8 * STAGES, turn = empty + 8 * STAGES;
    int32_t *const tables = (int32_t *)(memory + (turn + 16 - base));
    int *const kept = (int *)(tables + WORDS);  // per warpgroup: the parameters of the tile's units
    const int warpgroup = __shfl_sync(~0u, threadIdx.x / 128, 0), warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    const uint32_t rank = CLUSTER > 1 ? cluster_rank() : 0, rank_m = rank % CLUSTER_M, rank_n = rank / CLUSTER_M;
    const int rows = (M + TILE_M * CLUSTER_M - 1) / (TILE_M * CLUSTER_M);
    const int columns = (N + TILE_N * CLUSTER_N - 1) / (TILE_N * CLUSTER_N);
    const int tiles = rows * columns, steps = (K + TILE_K - 1) / TILE_K;
    const int first = blockIdx.x / CLUSTER, stride = gridDim.x / CLUSTER;

    if (threadIdx.x == 0) {
        prefetch_map(&map_a);
        prefetch_map(&map_b);
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
    for (int i = threadIdx.x; i < WORDS; i += THREADS) tables[i] = table_words[i];
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
        const uint32_t my_boxes = boxes + (4 * consumer + warp) * BOX;
        // Lane i of each warp releases stages of the cluster's CTA i, if that one sends boxes here.
        const bool releases = lane < CLUSTER && (lane % CLUSTER_M == rank_m || lane / CLUSTER_M == rank_n);
        const uint32_t my_kept = shared_address(kept) + consumer * (COLUMNS * UNITS * 4);
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
            // The units' parameters come to shared memory in the background of the products, once the old ones are used.
            {
                named_sync(1 + consumer, 128);
                const int x = (column * CLUSTER_N + rank_n) * UNITS, all = PAIR ? N / 2 : N;
                for (int i = threadIdx.x % 128; i < UNITS * COLUMNS; i += 128) {
                    const int at = x + i % UNITS;
                    keep(my_kept + 4 * i, parameters + (int64_t)(i / UNITS) * all + (at < all ? at : 0), at < all);
                }
            }
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

            asm volatile("cp.async.wait_all;" ::: "memory");
            named_sync(1 + consumer, 128);
            // Lane l of warp w holds rows 16 w + l / 4 (+ 8) and columns 8 j + 2 (l % 4) (+ 1) of each 64 x TILE_N block.
            const int y0 = (row * CLUSTER_M + rank_m) * TILE_M + mine + 16 * warp, x0 = (column * CLUSTER_N + rank_n) * UNITS;
            const int *const my = kept + consumer * (COLUMNS * UNITS);
            uint8_t *const box = memory + (my_boxes - base);
#pragma unroll
            for (int i = 0; i < BLOCKS_M; ++i) {
                __syncwarp();
#pragma unroll
                for (int j = 0; j < TILE_N / 8; ++j) {
                    const int *const d = acc[i] + 4 * j;
#if PAIR
                    const int u = 4 * j + lane % 4;
                    const Columns p(my, u, UNITS);
#pragma unroll
                    for (int h = 0; h < 2; ++h) {
                        const Sum a[2] = {d[2 * h], d[2 * h + 1]};
                        const int v = chain(a, p, tables), r = 16 * h + lane / 4;
                        box[staged(r, u)] = (uint8_t)(v >> 8), box[staged(r + 8, u)] = (uint8_t)(v ^ 128);
                    }
#else
                    const int u = 8 * j + 2 * (lane % 4);
#pragma unroll
                    for (int e = 0; e < 2; ++e) {
                        const Columns p(my, u + e, UNITS);
                        const Sum a[1] = {256 * (Sum)d[e] + d[2 + e]};
                        box[staged(lane / 4, u + e)] = (uint8_t)chain(a, p, tables);
                    }
#endif
                }
                __syncwarp();
                // Planes: rows 16 h + 8 plane + token. 16 bytes per lane and turn.
                const int rows_in = PAIR ? 32 : 8, y_in = PAIR ? 2 * (y0 + 64 * i) : (y0 + 64 * i) / 2;
                const int high = PAIR ? (M + 7) / 8 * 16 : M / 2, pitch = PAIR ? N / 2 : N;
#pragma unroll
                for (int c = lane; c < rows_in * UNITS / 16; c += 32) {
                    const int r = c / (UNITS / 16), byte = c % (UNITS / 16) * 16;
                    if (y_in + r < high && x0 + byte < pitch)
                        *(uint4 *)(out + (int64_t)(y_in + r) * pitch + x0 + byte) = *(const uint4 *)(box + staged(r, byte));
                }
            }
        }
    }
    // No CTA leaves while another may still write to its stages or arrive at its barriers.
    if (CLUSTER > 1) {
        __syncwarp();
        cluster_arrive();
        cluster_wait();
    }
}
