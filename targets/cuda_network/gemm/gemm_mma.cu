// C[M, N] = A[M, K] x B[N, K]^T, int8 x int8 -> int32, with mma.sync: m16n8k32 and cp.async from sm_80 on, m8n8k16 and
// loads through registers on sm_75. A block of WARPS_M x WARPS_N warps makes one TILE_M x TILE_N tile, TILE_K bytes of K at
// a time, through a ring of STAGES stages in shared memory.
//
// K: a multiple of 16; M, N: any. A, B and the output start at multiples of 16 bytes.
#ifndef TILE_M
#define TILE_M 128
#define TILE_N 256
#endif
#ifndef TILE_K
#define TILE_K 64  // 64 or 128
#endif
#ifndef WARPS_M
#define WARPS_M 2
#define WARPS_N 4
#endif
#ifndef STAGES
#define STAGES 3  // 2 on sm_75
#endif
#ifndef GROUP
#define GROUP 8
#endif
#ifndef FORCE_SM75
#define FORCE_SM75 0  // 1: the instructions of sm_75 on a newer GPU, to test them
#endif
#if FORCE_SM75 || __CUDA_ARCH__ < 800
#define OLD 1
#else
#define OLD 0
#endif
#define THREADS (32 * WARPS_M * WARPS_N)
#define WARP_M (TILE_M / WARPS_M)
#define WARP_N (TILE_N / WARPS_N)
#define MS (WARP_M / 16)
#define NS (WARP_N / 8)
#define CHUNKS (TILE_K / 16)  // 16-byte chunks of a row
#define BYTES_A (TILE_M * TILE_K)
#define BYTES_B (TILE_N * TILE_K)
#define BYTES (BYTES_A + BYTES_B)
#define COPIES_A (TILE_M * CHUNKS / THREADS)  // chunks per thread and stage
#define COPIES_B (TILE_N * CHUNKS / THREADS)
#define PITCH (TILE_N + 16)  // of the int8 tile on its way out
static_assert(TILE_K == 64 || TILE_K == 128, "TILE_K");
static_assert(WARP_M % 16 == 0 && WARP_N % 16 == 0, "warp tile");
static_assert(TILE_M * CHUNKS % THREADS == 0 && TILE_N * CHUNKS % THREADS == 0, "copies");

// Byte offset of chunk c of row r. ldmatrix reads one chunk of 8 rows at a time: they must lie in 8 different sixteen-byte
// columns of the 128 bytes that the banks span. Rows of 128 bytes: chunk c of row r stands at c ^ (r % 8). Rows of 64
// bytes, two to a span: at c ^ (r / 2 % 4).
__device__ __forceinline__ uint32_t place(int r, int c)
{
    return r * TILE_K + ((TILE_K == 128 ? c ^ (r & 7) : c ^ (r >> 1 & 3)) << 4);
}

// Four 8 x 16-byte matrices: lanes 8 i to 8 i + 7 give the addresses of the rows of matrix i; lane l gets bytes
// 4 (l % 4) to + 3 of row l / 4 of each.
__device__ __forceinline__ void ldmatrix(uint32_t (&d)[4], uint32_t address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(address)
                 : "memory");
}

// d += 16 x 32 of A times (8 x 32 of B)^T. a: rows 0-7 and 8-15 of bytes 0-15, then of bytes 16-31; b: bytes 0-15, 16-31.
__device__ __forceinline__ void mma(int (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
#if OLD
    // m8n8k16 has the same lanes: four of them are one m16n8k32.
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

// 16 bytes from memory to shared memory in the background; zeros if not `inside` (then nothing is read).
__device__ __forceinline__ void copy(uint32_t to, const int8_t *from, bool inside)
{
#if !OLD
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(inside ? 16 : 0) : "memory");
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS)
    gemm(const int8_t *__restrict__ a, const int8_t *__restrict__ b, Out *__restrict__ out, int M, int N, int K,
         const Finish parameters)
{
    extern __shared__ __align__(128) uint8_t memory[];
    const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int warp_m = warp % WARPS_M * WARP_M, warp_n = warp / WARPS_M * WARP_N;
    int row, column;
    locate(blockIdx.x, (M + TILE_M - 1) / TILE_M, (N + TILE_N - 1) / TILE_N, GROUP, row, column);
    const int m0 = row * TILE_M, n0 = column * TILE_N, steps = (K + TILE_K - 1) / TILE_K;

    // Thread t copies chunk t % CHUNKS of rows t / CHUNKS, + THREADS / CHUNKS, ...
    const int copy_row = threadIdx.x / CHUNKS, copy_chunk = threadIdx.x % CHUNKS;
    const int8_t *const from_a = a + (int64_t)(m0 + copy_row) * K + copy_chunk * 16;
    const int8_t *const from_b = b + (int64_t)(n0 + copy_row) * K + copy_chunk * 16;
    const int64_t skip = (int64_t)(THREADS / CHUNKS) * K;
    const int rows_a = M - m0 - copy_row, rows_b = N - n0 - copy_row;  // copy i is inside if i * (THREADS / CHUNKS) < that

    int acc[MS][NS][4];
#pragma unroll
    for (int i = 0; i < MS; ++i)
#pragma unroll
        for (int j = 0; j < NS; ++j) acc[i][j][0] = acc[i][j][1] = acc[i][j][2] = acc[i][j][3] = 0;

    uint32_t fa[2][MS][4], fb[2][NS / 2][4];  // of this step of 32 and of the next
    auto read = [&](int to, uint32_t stage, int k) {
        // A: lanes 0-15 rows 0-15 of chunk 2 k, lanes 16-31 of chunk 2 k + 1.
#pragma unroll
        for (int i = 0; i < MS; ++i) ldmatrix(fa[to][i], stage + place(warp_m + 16 * i + lane % 16, 2 * k + lane / 16));
        // B: lanes 0-7 rows 0-7 of chunk 2 k, 8-15 of chunk 2 k + 1; 16-31 the same of rows 8-15.
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

#if OLD
    // Two stages: while one is multiplied, the next waits in registers.
    int4 held_a[COPIES_A], held_b[COPIES_B];
    auto fetch = [&](int step) {
        const bool in = step * TILE_K + copy_chunk * 16 < K;
#pragma unroll
        for (int i = 0; i < COPIES_A; ++i)
            held_a[i] = in && i * (THREADS / CHUNKS) < rows_a ? __ldg((const int4 *)(from_a + i * skip + step * TILE_K))
                                                              : make_int4(0, 0, 0, 0);
#pragma unroll
        for (int i = 0; i < COPIES_B; ++i)
            held_b[i] = in && i * (THREADS / CHUNKS) < rows_b ? __ldg((const int4 *)(from_b + i * skip + step * TILE_K))
                                                              : make_int4(0, 0, 0, 0);
    };
    auto put = [&](int stage) {
        uint8_t *const to = memory + stage * BYTES;
#pragma unroll
        for (int i = 0; i < COPIES_A; ++i) *(int4 *)(to + place(copy_row + i * (THREADS / CHUNKS), copy_chunk)) = held_a[i];
#pragma unroll
        for (int i = 0; i < COPIES_B; ++i)
            *(int4 *)(to + BYTES_A + place(copy_row + i * (THREADS / CHUNKS), copy_chunk)) = held_b[i];
    };
    fetch(0);
    put(0);
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
        if (step + 1 < steps) fetch(step + 1);
#pragma unroll
        for (int k = 0; k < TILE_K / 32; ++k) {
            read(0, base + step % 2 * BYTES, k);
            multiply(0);
        }
        if (step + 1 < steps) put((step + 1) % 2);  // read last in the step before, behind the barrier
        __syncthreads();
    }
#else
    auto fetch = [&](int step, int stage) {
        const uint32_t to = base + stage * BYTES;
        const bool in = step * TILE_K + copy_chunk * 16 < K;
#pragma unroll
        for (int i = 0; i < COPIES_A; ++i)
            copy(to + place(copy_row + i * (THREADS / CHUNKS), copy_chunk), from_a + i * skip + step * TILE_K,
                 in && i * (THREADS / CHUNKS) < rows_a);
#pragma unroll
        for (int i = 0; i < COPIES_B; ++i)
            copy(to + BYTES_A + place(copy_row + i * (THREADS / CHUNKS), copy_chunk), from_b + i * skip + step * TILE_K,
                 in && i * (THREADS / CHUNKS) < rows_b);
    };
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) fetch(s, s);
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    // One group per stage, empty or not: all but the newest STAGES - 2 done means that the next stage's bytes are there. The
    // barrier shows them to all.
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    __syncthreads();
    read(0, base, 0);
    int reading = 0, writing = STAGES - 1;
    for (int step = 0; step < steps; ++step) {
#pragma unroll
        for (int k = 0; k < TILE_K / 32; ++k) {
            // While one step of 32 is multiplied, the next one's fragments are read; after the last one stale bytes, unused.
            if (k + 1 < TILE_K / 32) {
                read((k + 1) % 2, base + reading * BYTES, k + 1);
            } else {
                asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
                __syncthreads();
                reading = reading + 1 == STAGES ? 0 : reading + 1;
                read(0, base + reading * BYTES, 0);
            }
            if (k == 0) {
                // The stage of the step before: its last fragments were read before the last barrier.
                if (step + STAGES - 1 < steps) fetch(step + STAGES - 1, writing);
                asm volatile("cp.async.commit_group;" ::: "memory");
                writing = writing + 1 == STAGES ? 0 : writing + 1;
            }
            multiply(k % 2);
        }
    }
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
#endif

    // Lane l holds rows l / 4 (+ 8) and columns 2 (l % 4) (+ 1) of each 16 x 8 block.
    const int y_in = warp_m + lane / 4, x_in = warp_n + 2 * (lane % 4);
#if OUT_INT8
#if TABLE
    __shared__ int8_t table[256];
    for (int i = threadIdx.x; i < 256; i += THREADS) table[i] = parameters.table[i];
    __syncthreads();
#else
    const int8_t *const table = nullptr;
#endif
    // Through shared memory (the ring is free), so that rows leave in 16-byte pieces.
#pragma unroll
    for (int j = 0; j < NS; ++j) {
        Column left, right;
        columns_of(parameters, n0 + x_in + 8 * j, N, left, right);
#pragma unroll
        for (int i = 0; i < MS; ++i)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int v = finish(acc[i][j][2 * h], left, parameters, table);
                const int w = finish(acc[i][j][2 * h + 1], right, parameters, table);
                *(uint16_t *)(memory + (y_in + 16 * i + 8 * h) * PITCH + x_in + 8 * j) = (uint16_t)((v & 255) | w << 8);
            }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < TILE_M * (TILE_N / 16); i += THREADS) {
        const int r = i / (TILE_N / 16), x = i % (TILE_N / 16) * 16;
        if (m0 + r >= M || n0 + x >= N) continue;
        int8_t *const to = out + (int64_t)(m0 + r) * N + n0 + x;
        if (N % 16 == 0) {
            *(int4 *)to = *(const int4 *)(memory + r * PITCH + x);
        } else {
            for (int k = 0; k < 16 && n0 + x + k < N; ++k) to[k] = (int8_t)memory[r * PITCH + x + k];
        }
    }
#else
#pragma unroll
    for (int j = 0; j < NS; ++j) {
        const int x = n0 + x_in + 8 * j;
        Column left, right;
        columns_of(parameters, x, N, left, right);
#pragma unroll
        for (int i = 0; i < MS; ++i)
#pragma unroll
            for (int h = 0; h < 2; ++h) {
                const int y = m0 + y_in + 16 * i + 8 * h;
                if (y >= M || x >= N) continue;
                const int v = finish(acc[i][j][2 * h], left, parameters, nullptr);
                const int w = finish(acc[i][j][2 * h + 1], right, parameters, nullptr);
                int32_t *const to = out + (int64_t)y * N + x;
                if (N % 2 == 0) {
                    *(int2 *)to = make_int2(v, w);  // four lanes fill a 32-byte sector
                } else {
                    to[0] = v;
                    if (x + 1 < N) to[1] = w;
                }
            }
    }
#endif
}
