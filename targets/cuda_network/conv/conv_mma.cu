// Convolution as an implicit matrix product with mma.sync: rows are output pixels, columns output channels, K runs over
// (window row, window column, input channel). m16n8k32 and cp.async from sm_80 on; m8n8k16 and registers on sm_75. A block
// of WARPS_M x WARPS_N x WARPS_K warps (WARPS_K share out every step of K) makes one TILE_M x TILE_N tile through a ring of STAGES stages. 1 x 1 windows are plain
// products. Positions in the padding are read as the zero point: the copy's source is then a chunk of shared constants.
//
// Constants: H, W, C (multiple of 16), KH, KW, SY, SX, DY, DX, TOP, LEFT, OH, OW, N (columns; for a pair twice the channels).
// weight: int8 [N, KH, KW, C], zeros in channels that the pitch adds. One grid dimension: tiles.
#ifndef FORCE_SM75
#define FORCE_SM75 0
#endif
#if FORCE_SM75 || __CUDA_ARCH__ < 800
#define OLD 1
#else
#define OLD 0
#endif
#define K (KH * KW * C)
#ifndef WARPS_K
#define WARPS_K 1
#endif
#define THREADS (32 * WARPS_M * WARPS_N * WARPS_K)
#define KPER (TILE_K / 32 / WARPS_K)  // steps of 32 of a warp in a stage
#define WARP_M (TILE_M / WARPS_M)
#define WARP_N (TILE_N / WARPS_N)
#define MS (WARP_M / 16)
#define NS (WARP_N / 8)
#define CHUNKS (TILE_K / 16)
#define BYTES_A (TILE_M * TILE_K)
#define BYTES_B (TILE_N * TILE_K)
#define BYTES (BYTES_A + BYTES_B)
#define EACH (THREADS / CHUNKS)  // rows between a thread's copies
#define COPIES_A ((TILE_M + EACH - 1) / EACH)
#define COPIES_B ((TILE_N + EACH - 1) / EACH)
#define OUT_N (PAIR ? N / 2 : N)
#define PITCH_OUT ((OUT_N + 15) / 16 * 16)
#define OUT_TILE (PAIR ? TILE_N / 2 : TILE_N)
#define PITCH (OUT_TILE + 16)
#define STEPS ((K + TILE_K - 1) / TILE_K)
#define GATE_IMAGES ((TILE_M - 1) / (OH * OW) + 2)
static_assert(C % 16 == 0 && WARP_M % 16 == 0 && WARP_N % 16 == 0 && KPER * WARPS_K * 32 == TILE_K && OUT_TILE % 16 == 0, "tile");

__device__ __forceinline__ uint32_t place(int r, int c)
{
    const int turn = TILE_K >= 128 ? r & 7 : TILE_K == 64 ? r >> 1 & 3 : r >> 2 & 1;
    return r * TILE_K + ((c ^ turn) << 4);
}

__device__ __forceinline__ void ldmatrix(uint32_t (&d)[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(address)
                 : "memory");
}

__device__ __forceinline__ void mma(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
#if OLD
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
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

__device__ __forceinline__ void copy(uint32_t to, const int8_t *from)
{
#if !OLD
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
#endif
}

// Where K is shared out, few blocks run: all registers (left alone, ptxas once spilled for the sake of more blocks).
#if WARPS_K > 1
#define BOUNDS __launch_bounds__(THREADS, 1)
#else
#define BOUNDS __launch_bounds__(THREADS)
#endif

// The same by way of L1 where the weights fit there: else thousands of blocks ask one slice of L2 for the same few lines.
__device__ __forceinline__ void copy_weight(uint32_t to, const int8_t *from)
{
#if !OLD
    if (N * K <= 16384) asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
    else copy(to, from);
#endif
}

extern "C" __global__ void BOUNDS conv(const __grid_constant__ Conv p)
{
    extern __shared__ __align__(128) uint8_t memory[];
    #if TABLE || PAIR
    __shared__ __align__(16) uint8_t tables[(PAIR ? 2 : 1) * TABLE_BYTES];
#endif
    __shared__ Column kept[TILE_N];
#if GATED
    __shared__ __align__(16) uint8_t gates[GATE_IMAGES * C];
#endif
    const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int warp_m = warp % WARPS_M * WARP_M, warp_n = warp / WARPS_M % WARPS_N * WARP_N, warp_k = warp / (WARPS_M * WARPS_N);
    const int M = p.images * (OH * OW), columns = (N + TILE_N - 1) / TILE_N;
    const int m0 = blockIdx.x / columns * TILE_M, n0 = blockIdx.x % columns * TILE_N;

    let_next_start();
    // Constants of the columns and tables: they do not depend on the kernel before.
    for (int i = threadIdx.x; i < TILE_N; i += THREADS) {
        const int n = n0 + i;
        kept[i] = n < N ? column(p.bias[n], p.multiplier[n], p.shift[n]) : column(0, 0, 32);
    }
    uint32_t table = 0;
#if TABLE || PAIR
    spread(tables, p.table, threadIdx.x, THREADS);
    if (PAIR) spread(tables + TABLE_BYTES, p.table + 256, threadIdx.x, THREADS);
    table = own(tables);
#endif

    // Thread t copies chunk t % CHUNKS of rows t / CHUNKS, + EACH, ...
    const int copy_row = threadIdx.x / CHUNKS, copy_chunk = threadIdx.x % CHUNKS;
    int from_y[COPIES_A], from_x[COPIES_A];
    const int8_t *from_a[COPIES_A];  // of the window's first position
#if GATED
    int gate_at[COPIES_A];
#endif
#pragma unroll
    for (int i = 0; i < COPIES_A; ++i) {
        const int m = m0 + copy_row + i * EACH, image = m / (OH * OW), pixel = m % (OH * OW);
        from_y[i] = m < M && (TILE_M % EACH == 0 || copy_row + i * EACH < TILE_M) ? pixel / OW * SY - TOP : -(1 << 20);  // beyond the end all is padding
        from_x[i] = pixel % OW * SX - LEFT;
        from_a[i] = p.x + ((int64_t)image * (H * W) + max(from_y[i], -TOP) * W + from_x[i]) * C;
#if GATED
        gate_at[i] = (image - m0 / (OH * OW)) * C;
#endif
    }
    const int8_t *const from_b = p.weight + (int64_t)(n0 + copy_row) * K + copy_chunk * 16;
    const int rows_b = (n0 + TILE_N < N ? TILE_N : N - n0) - copy_row;

    int acc[MS][NS][4];
#pragma unroll
    for (int i = 0; i < MS; ++i)
#pragma unroll
        for (int j = 0; j < NS; ++j) acc[i][j][0] = acc[i][j][1] = acc[i][j][2] = acc[i][j][3] = 0;

    uint32_t fa[2][MS][4], fb[2][NS / 2][4];
    auto read = [&](int to, uint32_t stage, int step) {
        const int k = warp_k * KPER + step;
#pragma unroll
        for (int i = 0; i < MS; ++i) ldmatrix(fa[to][i], stage + place(warp_m + 16 * i + lane % 16, 2 * k + lane / 16));
#pragma unroll
        for (int j = 0; j < NS / 2; ++j)
            ldmatrix(fb[to][j], stage + BYTES_A + place(warp_n + 16 * j + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
    };
    auto multiply = [&](int from) {
#pragma unroll
        for (int i = 0; i < MS; ++i)
#pragma unroll
            for (int j = 0; j < NS; ++j) mma(acc[i][j], fa[from][i], fb[from][j / 2][j % 2 * 2], fb[from][j / 2][j % 2 * 2 + 1]);
    };
    // Where chunk copy_chunk of a step lies in the window: offset from the first position, row and column there.
    auto tap_of = [&](int step, int &offset, int &dy, int &dx) {
        const int chunk = step * CHUNKS + copy_chunk, tap = chunk / (C / 16), channel = chunk % (C / 16) * 16;
        dy = KH == 1 ? 0 : tap / KW * DY;
        dx = KW == 1 ? 0 : tap % KW * DX;
        offset = (dy * W + dx) * C + channel;
    };
    auto is_inside = [&](int i, int dy, int dx) {
        if (KH == 1 && KW == 1 && TOP == 0 && LEFT == 0) return from_y[i] >= 0;
        return (unsigned)(from_y[i] + dy) < H && (unsigned)(from_x[i] + dx) < W;
    };
    const uint4 nothing = make_uint4(p.fill, p.fill, p.fill, p.fill);
    (void)nothing;
    auto start_gates = [&]() {
#if GATED
        const int first = m0 / (OH * OW);
        for (int i = threadIdx.x; i < GATE_IMAGES * C / 16; i += THREADS) {
            const bool in = first + i * 16 / C < p.images;
            ((uint4 *)gates)[i] = in ? __ldcg((const uint4 *)(p.gate + (int64_t)first * C) + i) : make_uint4(0, 0, 0, 0);
        }
        __syncthreads();
#endif
    };

#if OLD
    uint4 held_a[COPIES_A], held_b[COPIES_B];
    auto fetch = [&](int step) {
        int offset, dy, dx;
        tap_of(step, offset, dy, dx);
        const bool in = STEPS * TILE_K == K || step * TILE_K + copy_chunk * 16 < K;
#pragma unroll
        for (int i = 0; i < COPIES_A; ++i) held_a[i] = in && is_inside(i, dy, dx) ? *(const uint4 *)(from_a[i] + offset) : nothing;
#pragma unroll
        for (int i = 0; i < COPIES_B; ++i)
            held_b[i] = in && i * EACH < rows_b ? *(const uint4 *)(from_b + i * (EACH * K) + step * TILE_K) : make_uint4(0, 0, 0, 0);
    };
    auto put = [&](int step) {
        uint8_t *const to = memory + step % 2 * BYTES;
#pragma unroll
        for (int i = 0; i < COPIES_A; ++i) {
#if GATED
            if (step * TILE_K + copy_chunk * 16 < K && (TILE_M % EACH == 0 || copy_row + i * EACH < TILE_M)) {
                uint32_t *const v = (uint32_t *)(held_a + i);
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    int g[4];
                    gates_of(*(const uint32_t *)(gates + gate_at[i] + step * TILE_K + copy_chunk * 16 + 4 * e), p.gating, g);
                    v[e] = gate4(v[e], g, p.gating);
                }
            }
#endif
            if (TILE_M % EACH == 0 || copy_row + i * EACH < TILE_M) *(uint4 *)(to + place(copy_row + i * EACH, copy_chunk)) = held_a[i];
        }
#pragma unroll
        for (int i = 0; i < COPIES_B; ++i)
            if (copy_row + i * EACH < TILE_N) *(uint4 *)(to + BYTES_A + place(copy_row + i * EACH, copy_chunk)) = held_b[i];
    };
    wait_for_input();
    start_gates();
    fetch(0);
    put(0);
    __syncthreads();
    for (int step = 0; step < STEPS; ++step) {
        if (step + 1 < STEPS) fetch(step + 1);
#pragma unroll
        for (int k = 0; k < KPER; ++k) {
            read(0, base + step % 2 * BYTES, k);
            multiply(0);
        }
        if (step + 1 < STEPS) put(step + 1);
        __syncthreads();
    }
#else
    auto fetch_b = [&](int step, int stage) {
        const bool in = STEPS * TILE_K == K || step * TILE_K + copy_chunk * 16 < K;
#pragma unroll
        for (int i = 0; i < COPIES_B; ++i)
            if (TILE_N % EACH == 0 || copy_row + i * EACH < TILE_N) {
                const bool inside = in && i * EACH < rows_b;
                const uint32_t to = base + stage * BYTES + BYTES_A + place(copy_row + i * EACH, copy_chunk);
                if (inside) copy_weight(to, from_b + i * (EACH * K) + step * TILE_K);
                else asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(0) : "memory");
            }
    };
    auto fetch_a = [&](int step, int stage) {
        int offset, dy, dx;
        tap_of(step, offset, dy, dx);
        const bool in = STEPS * TILE_K == K || step * TILE_K + copy_chunk * 16 < K;
#pragma unroll
        for (int i = 0; i < COPIES_A; ++i) {
            if (TILE_M % EACH && copy_row + i * EACH >= TILE_M) continue;
            const uint32_t to = base + stage * BYTES + place(copy_row + i * EACH, copy_chunk);
            const bool inside = in && is_inside(i, dy, dx);
            if (KH == 1 && KW == 1 && TOP == 0 && LEFT == 0) {
                if (inside) copy(to, from_a[i] + offset);  // what lies beyond the end meets zeros of B, or is not stored
            } else if (inside) {
                copy(to, from_a[i] + offset);
            } else {
                asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(p.fill) : "memory");
            }
        }
    };
    // The weights come before the wait for the kernel before.
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s)
        if (s < STEPS) fetch_b(s, s);
    wait_for_input();
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < STEPS) fetch_a(s, s);
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    start_gates();
    // The stage's copies of this thread are done: multiply what it copied by the gates, in place.
    auto arrived = [&](int step, int stage) {
        asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
#if GATED
        if (step < STEPS && (STEPS * TILE_K == K || step * TILE_K + copy_chunk * 16 < K)) {
#pragma unroll
            for (int e = 0; e < 4; e += 2) {  // 8 channels at a time; rows of one image share their gates
                int g[2][4];
#pragma unroll
                for (int i = 0; i < COPIES_A; ++i) {
                    if (TILE_M % EACH && copy_row + i * EACH >= TILE_M) continue;
                    if (i == 0 || gate_at[i] != gate_at[i - 1]) {
                        const uint2 two = *(const uint2 *)(gates + gate_at[i] + step * TILE_K + copy_chunk * 16 + 4 * e);
                        gates_of(two.x, p.gating, g[0]);
                        gates_of(two.y, p.gating, g[1]);
                    }
                    uint2 *const at = (uint2 *)(memory + stage * BYTES + place(copy_row + i * EACH, copy_chunk) + 4 * e);
                    const uint2 v = *at;
                    *at = make_uint2(gate4(v.x, g[0], p.gating), gate4(v.y, g[1], p.gating));
                }
            }
        }
#endif
        __syncthreads();
    };
    arrived(0, 0);
    read(0, base, 0);
    int reading = 0, writing = STAGES - 1;
    for (int step = 0; step < STEPS; ++step) {
#pragma unroll
        for (int k = 0; k < KPER; ++k) {
            if (k + 1 < KPER) {
                read((k + 1) % 2, base + reading * BYTES, k + 1);
            } else if (KPER > 1) {
                reading = reading + 1 == STAGES ? 0 : reading + 1;
                arrived(step + 1, reading);
                read(0, base + reading * BYTES, 0);
            }
            if (k == 0) {
                if (step + STAGES - 1 < STEPS) {
                    fetch_a(step + STAGES - 1, writing);
                    fetch_b(step + STAGES - 1, writing);
                }
                asm volatile("cp.async.commit_group;" ::: "memory");
                writing = writing + 1 == STAGES ? 0 : writing + 1;
            }
            multiply(k % 2);
        }
        if (KPER == 1) {
            reading = reading + 1 == STAGES ? 0 : reading + 1;
            arrived(step + 1, reading);
            read(0, base + reading * BYTES, 0);
        }
    }
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
#endif

    let_next_start(2);
#if WARPS_K > 1
    // Sums of the warps that shared out K.
    int *const parts = (int *)memory + warp % (WARPS_M * WARPS_N) * 32 + lane;
    const int apart = MS * NS * 4 * (WARPS_M * WARPS_N * 32);
    if (warp_k > 0)
#pragma unroll
        for (int i = 0; i < MS * NS * 4; ++i) parts[(warp_k - 1) * apart + i * (WARPS_M * WARPS_N * 32)] = acc[i / (NS * 4)][i / 4 % NS][i % 4];
    __syncthreads();
    if (warp_k == 0)
#pragma unroll
        for (int i = 0; i < MS * NS * 4; ++i)
#pragma unroll
            for (int k = 0; k < WARPS_K - 1; ++k) acc[i / (NS * 4)][i / 4 % NS][i % 4] += parts[k * apart + i * (WARPS_M * WARPS_N * 32)];
    __syncthreads();
    if (warp_k == 0)
#endif
    // Lane l holds rows l / 4 (+ 8) and columns 2 (l % 4) (+ 1) of each 16 x 8 block. Through shared memory, so that rows
    // leave in 16-byte pieces.
#pragma unroll
    for (int j = 0; j < NS; ++j) {
        const int y_in = warp_m + lane / 4, x_in = warp_n + 2 * (lane % 4);
        const int x = x_in + 8 * j;
        const Column left = column_at(kept + x), right = column_at(kept + x + 1);
#pragma unroll
        for (int i = 0; i < MS; ++i)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                uint8_t *const to = memory + (y_in + 16 * i + 8 * h) * PITCH;
#if PAIR
                to[x / 2] = (uint8_t)finish_pair(acc[i][j][2 * h], acc[i][j][2 * h + 1], left, right, p, table);
#else
                const int v = finish(acc[i][j][2 * h], left, p, table), w = finish(acc[i][j][2 * h + 1], right, p, table);
                *(uint16_t *)(to + x) = (uint16_t)((v & 255) | w << 8);
#endif
            }
    }
    __syncthreads();
    const int x0 = PAIR ? n0 / 2 : n0;
    for (int i = threadIdx.x; i < TILE_M * (OUT_TILE / 16); i += THREADS) {
        const int r = i / (OUT_TILE / 16), x = i % (OUT_TILE / 16) * 16;
        if (m0 + r >= M || x0 + x >= PITCH_OUT) continue;
        const int64_t at = (int64_t)(m0 + r) * PITCH_OUT + x0 + x;
        uint4 v = *(const uint4 *)(memory + r * PITCH + x);
#if RESIDUAL
        const uint4 w = __ldcg((const uint4 *)(p.residual + at));
        v = make_uint4(add4(v.x, w.x, p.sum), add4(v.y, w.y, p.sum), add4(v.z, w.z, p.sum), add4(v.w, w.w, p.sum));
#endif
        *(uint4 *)(p.out + at) = v;
    }
}
