// Convolution with wgmma straight from a patch of the input: each warpgroup makes 8 x 8 output pixels x TILE_N columns. The
// patch of input pixels lies in shared memory ONCE, as planes of 16 channels with 16 bytes a pixel: eight pixels in a row are
// then a "core matrix" of the layout without swizzle, wherever it starts, and a tap of the window is only another start
// address. The weights of TILE_N columns stay in shared memory; the block goes over its units of 64 pixels. The warpgroups
// take turns at the tensor cores: while one multiplies, the others are in their epilogues (left alone, they stay in step).
//
// Constants: H, W, C (multiple of 32), KH, KW, SY, SX, DY, DX, TOP, LEFT, OH, OW, N (columns, a multiple of TILE_N),
// TILE_N (multiple of 32; a pair: 64, 128 or 256), WGS, BUFFERS (1 or 2).
// weight: int8 [N / TILE_N][KH][KW][C / 16][TILE_N][16]. Columns of a block are permuted so that a thread's outputs are
// adjacent channels: column 8 j + 2 q + e of the block is channel q * TILE_N / 4 + 2 j + e; of a pair feature (e = 0) or gate
// (e = 1) of channel q * TILE_N / 8 + j. bias, multiplier and shift stand in the columns' order.
// Grid: (blocks that share the units, N / TILE_N).
#ifndef ONLY
#define ONLY 0  // to see what limits: 1 no products but one tap's, 2 no epilogue but a store, 3 neither
#endif
#define THREADS (128 * WGS)
#define CHUNKS (C / 16)
#define PH (7 * SY + (KH - 1) * DY + 1)
#define PW (7 * SX + (KW - 1) * DX + 1)
#define PART ((PW + SX - 1) / SX)  // columns of one remainder modulo SX: those lie together
#define ROW (PART * SX)            // pixels of a row of a plane
#define TURN (CHUNKS == 2 ? 4 : CHUNKS == 4 ? 2 : 1)
#define PLANE ((PH * ROW + (TURN + 8 - PH * ROW % 8) % 8) * 16)  // bytes, such that copies meet no bank conflicts
#define PATCH ((PLANE * CHUNKS + 127) / 128 * 128)
#define TAPS (KH * KW)
#define WEIGHTS (TAPS * C * TILE_N)
#define ACROSS ((OW + 7) / 8)
#define DOWN ((OH + 7) / 8)
#define OUT_N (PAIR ? N / 2 : N)
#define PITCH_OUT ((OUT_N + 15) / 16 * 16)
#define MINE (PAIR ? TILE_N / 8 : TILE_N / 4)  // adjacent channels of a thread
static_assert(C % 32 == 0 && N % TILE_N == 0 && MINE % 8 == 0, "channels");

// No swizzle: bits 16-29 the distance between 16-byte steps of K, bits 32-45 between groups of 8 rows, each / 16.
__device__ __forceinline__ uint64_t flat(uint32_t address, uint32_t along, uint32_t down)
{
    return (uint64_t)((address & 0x3FFFF) >> 4) | (uint64_t)(along >> 4) << 16 | (uint64_t)(down >> 4) << 32;
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) conv(const __grid_constant__ Conv p)
{
    extern __shared__ __align__(128) uint8_t memory[];
    #if TABLE || PAIR
    __shared__ __align__(16) uint8_t tables[(PAIR ? 2 : 1) * TABLE_BYTES];
#endif
    __shared__ Column kept[TILE_N];
    __shared__ __align__(8) uint64_t arrived, turns[WGS];
    const uint32_t weights = shared_address(memory), barrier = shared_address(&arrived);
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0), thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
    const uint32_t patches = weights + WEIGHTS + group * (BUFFERS * PATCH);
    const int n0 = blockIdx.y * TILE_N, units = p.images * (ACROSS * DOWN), stride = gridDim.x * WGS;

    let_next_start();
    if (threadIdx.x == 0) {
        barrier_init(barrier, 1);
        for (int g = 0; g < WGS; ++g) barrier_init(shared_address(turns + g), 4);  // the warps of the one before
        barriers_ready();
        barrier_expect(barrier, WEIGHTS);
        for (int t = 0; t < TAPS; ++t)
            asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                             weights + t * (C * TILE_N)),
                         "l"(p.weight + (int64_t)blockIdx.y * WEIGHTS + t * (C * TILE_N)), "r"(C * TILE_N), "r"(barrier)
                         : "memory");
    }
    for (int i = threadIdx.x; i < TILE_N; i += THREADS) kept[i] = column(p.bias[n0 + i], p.multiplier[n0 + i], p.shift[n0 + i]);
    uint32_t table = 0;
#if TABLE || PAIR
    spread(tables, p.table, threadIdx.x, THREADS);
    if (PAIR) spread(tables + TABLE_BYTES, p.table + 256, threadIdx.x, THREADS);
    table = own(tables);
#endif
    __syncthreads();
    wait_for_input();

    auto load = [&](int unit, int buffer) {
        const int image = unit / (ACROSS * DOWN), at = unit % (ACROSS * DOWN);
        const int y0 = at / ACROSS * 8 * SY - TOP, x0 = at % ACROSS * 8 * SX - LEFT;
        const int8_t *const from = p.x + (int64_t)image * (H * W * C);
#pragma unroll
        for (int i = 0; i < (PH * PW * CHUNKS + 127) / 128; ++i) {
            const int chunk = i * 128 + thread, pixel = chunk / CHUNKS, c = chunk % CHUNKS, py = pixel / PW, px = pixel % PW;
            if (PH * PW * CHUNKS % 128 && chunk >= PH * PW * CHUNKS) break;
            const uint32_t to = patches + buffer * PATCH + c * PLANE + (py * ROW + px % SX * PART + px / SX) * 16;
            const int y = y0 + py, x = x0 + px;
            if ((unsigned)y < H && (unsigned)x < W)
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from + (y * W + x) * C + c * 16) : "memory");
            else
                asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(to), "r"(p.fill) : "memory");
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    };

    int unit = blockIdx.x + group * gridDim.x, buffer = 0;
    if (unit < units) {
        load(unit, 0);
        barrier_wait(barrier, 0);
    }
    const uint32_t my_turn = shared_address(turns + group), next_turn = shared_address(turns + (group + 1) % WGS);
    uint32_t parity = group ? 0 : 1;  // the first group's first turn comes at once
    for (int round = blockIdx.x; round < units; round += stride, unit += stride, parity ^= 1) {
        if (unit >= units) {  // others still have units in this round, the last: pass the turn on
            if (WGS > 1) {
                barrier_wait(my_turn, parity);
                if (lane == 0) barrier_arrive(next_turn);
            }
            continue;
        }
        asm volatile("cp.async.wait_all;" ::: "memory");
        fence_shared();
        named_sync(1 + group, 128);
        int acc[TILE_N / 2];
        if (WGS > 1) barrier_wait(my_turn, parity);
        wgmma_fence();
#pragma unroll
        for (int t = 0; t < (ONLY & 1 ? 2 : TAPS); ++t) {
            const int dy = t / KW * DY, dx = t % KW * DX;
            const uint32_t a = patches + buffer * PATCH + (dy * ROW + dx % SX * PART + dx / SX) * 16, b = weights + t * (C * TILE_N);
#pragma unroll
            for (int k = 0; k < C / 32; ++k)
                wgmma(acc, flat(a + 2 * k * PLANE, PLANE, SY * ROW * 16), flat(b + 2 * k * (TILE_N * 16), TILE_N * 16, 128), t | k);
            if (WGS > 1 && t == (ONLY & 1 || TAPS < 3 ? 0 : TAPS - 3)) wgmma_commit();
        }
        wgmma_commit();
        const int next = unit + stride;
        if (BUFFERS == 2) {  // the other patch was read by products that all four warps have seen end
            buffer ^= 1;
            if (next < units) load(next, buffer);
        }
        if (WGS > 1) {
            wgmma_wait<1>();  // but the last two taps: the next one's products find the tensor cores busy
            if (lane == 0) barrier_arrive(next_turn);
        }
        wgmma_wait<0>();
        if (BUFFERS == 1 && next < units) {
            named_sync(1 + group, 128);
            load(next, 0);
        }

        // Lane l of warp w holds pixels 16 w + l / 4 (+ 8), that is rows 2 w (+ 1) and column l / 4 of the 8 x 8.
        const int image = unit / (ACROSS * DOWN), at = unit % (ACROSS * DOWN);
        const int y = at / ACROSS * 8 + 2 * warp, x = at % ACROSS * 8 + lane / 4, q = lane % 4;
        const int first = (PAIR ? n0 / 2 : n0) + q * MINE;
        int8_t *const to = p.out + (((int64_t)image * OH + y) * OW + x) * PITCH_OUT + first;
#pragma unroll
        for (int c = 0; c < MINE; c += (MINE % 16 == 0 ? 16 : 8)) {
            uint32_t words[2][4];
#pragma unroll
            for (int e = 0; e < (MINE % 16 == 0 ? 4 : 2); ++e) {
                int v[2][4];
#pragma unroll
                for (int i = 0; i < 4; i += (PAIR ? 1 : 2)) {
                    const int j = PAIR ? c + 4 * e + i : (c + 4 * e + i) / 2, at_column = 8 * j + 2 * q;
                    const Column left = column_at(kept + at_column), right = column_at(kept + at_column + 1);
#pragma unroll
                    for (int h = 0; h < 2; ++h) {
#if ONLY & 2
                        v[h][i] = acc[4 * j + 2 * h] + acc[4 * j + 2 * h + 1];
#elif PAIR
                        v[h][i] = finish_pair(acc[4 * j + 2 * h], acc[4 * j + 2 * h + 1], left, right, p, table);
#else
                        v[h][i] = finish(acc[4 * j + 2 * h], left, p, table);
                        v[h][i + 1] = finish(acc[4 * j + 2 * h + 1], right, p, table);
#endif
                    }
                }
                words[0][e] = pack(v[0][0], v[0][1], v[0][2], v[0][3]);
                words[1][e] = pack(v[1][0], v[1][1], v[1][2], v[1][3]);
            }
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                if (y + h >= OH || x >= OW) continue;
                const int64_t place = (int64_t)h * (OW * PITCH_OUT) + c;
                if (MINE % 16 == 0) {
                    uint4 w = make_uint4(words[h][0], words[h][1], words[h][2], words[h][3]);
#if RESIDUAL
                    const uint4 r = __ldcg((const uint4 *)(p.residual + (to - p.out) + place));
                    w = make_uint4(add4(w.x, r.x, p.sum), add4(w.y, r.y, p.sum), add4(w.z, r.z, p.sum), add4(w.w, r.w, p.sum));
#endif
                    *(uint4 *)(to + place) = w;
                } else {
                    uint2 w = make_uint2(words[h][0], words[h][1]);
#if RESIDUAL
                    const uint2 r = __ldcg((const uint2 *)(p.residual + (to - p.out) + place));
                    w = make_uint2(add4(w.x, r.x, p.sum), add4(w.y, r.y, p.sum));
#endif
                    *(uint2 *)(to + place) = w;
                }
            }
        }
    }
}
