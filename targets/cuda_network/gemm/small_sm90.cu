// C[M, N] = A[M, K] x B[N, K]^T, int8 x int8 -> int32, for few rows M (tokens) of A: swapped, so that the weights B are
// wgmma's 64-row operand and the tokens its N of 8 to 256 (as many as there are); K is split over a cluster.
//
// CTA: 64 CONSUMERS rows of weights, TILE_T tokens, one of SPLIT parts of K. A producer warp streams both by TMA through a
// ring of STAGES stages (deep: the time is that of the weights' bytes). Each CTA of a cluster adds up and finishes its share
// of the tokens: the others send it their sums by bulk copies between shared memories, which count their bytes on its
// barrier, so that no fence for the whole GPU is needed. No atomics, no second kernel.
//
// K: a multiple of 16; M, N: any.
#ifndef TILE_T
#define TILE_T 32  // tokens: 8, 16, 24, 32, 48, 64, 80, ... 256
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef STAGES
#define STAGES 8
#endif
#ifndef SPLIT
#define SPLIT 4  // CTAs of a cluster: 1, 2, 4 or 8
#endif
#ifndef TOGETHER
#define TOGETHER 1  // CTAs of a cluster with other weights and the same tokens, which each fetches a part of for all
#endif
#define CLUSTER (SPLIT * TOGETHER)
#define TILE_K 128
#define TILE_W (64 * CONSUMERS)
#define THREADS (128 * CONSUMERS + 32)
#define BYTES_W (TILE_W * TILE_K)
#define BYTES_T (TILE_T * TILE_K)
#define PITCH (TILE_W + 4)  // int32 per token of the partial sums; + 4: the 4 x 8 lanes of a warp hit 32 banks
#define RING (STAGES * (BYTES_W + BYTES_T))
#define SUMS (TILE_T * PITCH * 4)
#define SHARE (TILE_T / SPLIT)  // tokens that each CTA of the cluster adds up
#define PART (SHARE * PITCH * 4)
static_assert(TILE_T % 8 == 0 && TILE_T <= 256 && TILE_T % SPLIT == 0, "tokens");
static_assert(TILE_T % (8 * TOGETHER) == 0, "parts of 8 rows keep the swizzle");

#if SPLIT * TOGETHER > 1
#define IN_CLUSTER __cluster_dims__(CLUSTER, 1, 1)
#else
#define IN_CLUSTER
#endif
extern "C" __global__ void IN_CLUSTER __launch_bounds__(THREADS, 1)
    gemm(const __grid_constant__ CUtensorMap map_t, const __grid_constant__ CUtensorMap map_w, Out *__restrict__ out, int M,
         int N, int K, const Finish parameters)
{
    extern __shared__ uint8_t raw[];
    uint8_t *const memory = raw + (1024 - (shared_address(raw) & 1023)) % 1024;  // swizzle: tiles at multiples of 1024
    const uint32_t base = shared_address(memory);
    const uint32_t stage_w = base, stage_t = base + STAGES * BYTES_W;
    const uint32_t inbox = base + (RING > SUMS ? RING : SUMS);  // the parts of the other CTAs
    const uint32_t full = inbox + (SPLIT - 1) * PART, empty = full + 8 * STAGES, arrived = empty + 8 * STAGES;
    int8_t *const table = (int8_t *)(memory + (arrived + 8 - base));
    int *const sums = (int *)memory;  // over the ring, once all is multiplied

    const int warp = __shfl_sync(~0u, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    // The cluster's CTA r has part r % SPLIT of K and tile r / SPLIT of its TOGETHER tiles of weights.
    const int in_cluster = CLUSTER > 1 ? (int)cluster_rank() : 0, rank = in_cluster % SPLIT, member = in_cluster / SPLIT;
    const int w0 = (blockIdx.x / CLUSTER * TOGETHER + member) * TILE_W, t0 = blockIdx.y * TILE_T;
    // Part `rank` of the steps of K; some parts may be one step longer, or empty.
    const int steps = (K + TILE_K - 1) / TILE_K, begin = steps * rank / SPLIT, end = steps * (rank + 1) / SPLIT;

    if (threadIdx.x == 128 * CONSUMERS) {
        prefetch_map(&map_t);
        prefetch_map(&map_w);
        for (int s = 0; s < STAGES; ++s) {
            barrier_init(full + 8 * s, 1);
            // each consumer warp, of all CTAs that this CTA's boxes go to
            barrier_init(empty + 8 * s, 4 * CONSUMERS * TOGETHER);
        }
        if (SPLIT > 1) {
            barrier_init(arrived, 1);
            barriers_ready();
            barrier_expect(arrived, (SPLIT - 1) * PART);
        }
        barriers_ready();
    }
#if TABLE
    for (int i = threadIdx.x; i < 256; i += THREADS) table[i] = parameters.table[i];
#endif
    __syncthreads();
    if (CLUSTER > 1) cluster_arrive();  // the barriers are there
    if (TOGETHER > 1) cluster_wait();

    if (warp == 4 * CONSUMERS) {
        if (lane == 0) {
            int stage = 0;
            uint32_t phase = 0;
            for (int step = begin; step < end; ++step) {
                barrier_wait(empty + 8 * stage, phase ^ 1);  // parity 1 of a fresh barrier passes: the first round
                const uint32_t ready = full + 8 * stage;
                barrier_expect(ready, BYTES_W + BYTES_T);
                load_box(stage_w + stage * BYTES_W, &map_w, step * TILE_K, w0, ready);
                if (TOGETHER > 1) {
                    const int part = TILE_T / TOGETHER * member;
                    uint32_t mask = 0;
                    for (int i = 0; i < TOGETHER; ++i) mask |= 1u << (rank + i * SPLIT);
                    load_box_to(stage_t + stage * BYTES_T + part * TILE_K, &map_t, step * TILE_K, t0 + part, ready, mask);
                } else {
                    load_box(stage_t + stage * BYTES_T, &map_t, step * TILE_K, t0, ready);
                }
                if (++stage == STAGES) stage = 0, phase ^= 1;
            }
        }
        __syncwarp();
        __syncthreads();
    } else {
        const uint32_t my_w = stage_w + warp / 4 * (64 * TILE_K);
        int acc[TILE_T / 2];
#pragma unroll
        for (int i = 0; i < TILE_T / 2; ++i) acc[i] = 0;  // a part of K may be empty
        int stage = 0, before = 0;
        uint32_t phase = 0;
        for (int step = begin; step < end; ++step) {
            barrier_wait(full + 8 * stage, phase);
            wgmma_fence();
#pragma unroll
            for (int k = 0; k < TILE_K / 32; ++k)
                wgmma(acc, descriptor(my_w + stage * BYTES_W) + 2 * k, descriptor(stage_t + stage * BYTES_T) + 2 * k, 1);
            wgmma_commit();
            wgmma_wait<1>();  // all but this step's are done: the stage before is free
            if (step > begin && lane < TOGETHER) {
                if (TOGETHER > 1) barrier_arrive_at(empty + 8 * before, rank + lane * SPLIT);
                else barrier_arrive(empty + 8 * before);
            }
            before = stage;
            if (++stage == STAGES) stage = 0, phase ^= 1;
        }
        wgmma_wait<0>();
        // Every box that was asked for has come and been multiplied by both warpgroups: the ring's memory is free.
        __syncthreads();
        // Lane l holds weights 16 w + l / 4 (+ 8), tokens 8 j + 2 (l % 4) (+ 1).
        const int w = warp * 16 + lane / 4, t = 2 * (lane % 4);
#pragma unroll
        for (int j = 0; j < TILE_T / 8; ++j)
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[(8 * j + t + i % 2) * PITCH + w + i / 2 * 8] = acc[4 * j + i];
    }
    if (SPLIT > 1) {
        fence_shared();  // the sums are read by bulk copies
        if (TOGETHER == 1) cluster_wait();  // every CTA has its barriers
        __syncthreads();
        if (threadIdx.x < SPLIT && threadIdx.x != rank) {
            const int slot = rank < threadIdx.x ? rank : rank - 1;
            send(inbox + slot * PART, base + threadIdx.x * PART, PART, arrived, member * SPLIT + threadIdx.x);
        }
        barrier_wait(arrived, 0);
    } else {
        __syncthreads();
    }
    if (CLUSTER > 1) {
        __syncwarp();
        cluster_arrive();  // nothing more comes here: the senders may leave
    }

    // 4 neighbouring columns of C per thread; this CTA's share of the tokens.
    const int low = rank * SHARE, high = min(low + SHARE, M - t0);
    const int quad = threadIdx.x % (TILE_W / 4) * 4, n = w0 + quad;
    if (n < N && threadIdx.x < 128 * CONSUMERS) {
        Column c[4];
        columns_of(parameters, n, N, c[0], c[1]);
        columns_of(parameters, n + 2, N, c[2], c[3]);
#pragma unroll 4
        for (int t = low + (int)threadIdx.x / (TILE_W / 4); t < high; t += 128 * CONSUMERS / (TILE_W / 4)) {
            int4 part[SPLIT];
            part[0] = *(const int4 *)(sums + t * PITCH + quad);
#pragma unroll
            for (int r = 1; r < SPLIT; ++r)
                part[r] = *(const int4 *)(memory + (inbox - base) + (r - 1) * PART + ((t - low) * PITCH + quad) * 4);
            int v[4] = {0, 0, 0, 0};
#pragma unroll
            for (int r = 0; r < SPLIT; ++r) v[0] += part[r].x, v[1] += part[r].y, v[2] += part[r].z, v[3] += part[r].w;
#pragma unroll
            for (int i = 0; i < 4; ++i) v[i] = finish(v[i], c[i], parameters, table);
            Out *const to = out + (int64_t)(t0 + t) * N + n;
            if (N % 4 == 0) {  // then n + 3 < N, and the row starts at a multiple of 4
#if OUT_INT8
                *(char4 *)to = make_char4(v[0], v[1], v[2], v[3]);
#else
                *(int4 *)to = make_int4(v[0], v[1], v[2], v[3]);
#endif
            } else {
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    if (n + i < N) to[i] = (Out)v[i];
            }
        }
    }
    if (CLUSTER > 1) {  // no CTA leaves while its sums are still being read, or its barriers arrived at
        __syncwarp();
        cluster_wait();
    }
}
