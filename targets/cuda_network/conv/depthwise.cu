// Depthwise convolution: a thread makes 4 channels of R x X output pixels. Four pixels of four channels are transposed in
// registers (8 byte permutes), after which one dp4a takes four taps of a row of the window. Optionally the sums over the
// image of every output channel are added to p.sums (int32 atomics: exact in any order).
//
// Constants: H, W, C (multiple of 16), KH, KW, SY, SX, DY, DX (1 unless X is 1), TOP, LEFT, OH, OW, R, X, THREADS, SUMS.
// weight: 32-bit words [KH][X][G][C]: byte b of word (u, x, g, c) is the weight of tap (4 g + b - x * SX) of row u, or 0.
// Grid: (blocks of an image, images).
#define NP ((X - 1) * SX + KW)  // pixels of a row that a thread needs
#define G ((NP + 3) / 4)
#define CG (C / 4)
#define TX ((OW + X - 1) / X)
#define TY ((OH + R - 1) / R)
static_assert(C % 16 == 0 && (DX == 1 || X == 1), "depthwise");

__device__ __forceinline__ void transpose(const uint32_t *p, uint32_t (&t)[4])
{
    const uint32_t a = __byte_perm(p[0], p[1], 0x5140), b = __byte_perm(p[2], p[3], 0x5140);  // channels 0 and 1
    const uint32_t c = __byte_perm(p[0], p[1], 0x7362), d = __byte_perm(p[2], p[3], 0x7362);  // channels 2 and 3
    t[0] = __byte_perm(a, b, 0x5410), t[1] = __byte_perm(a, b, 0x7632);
    t[2] = __byte_perm(c, d, 0x5410), t[3] = __byte_perm(c, d, 0x7632);
}

// Before Hopper ptxas spilled an instance for the sake of more blocks.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define BOUNDS __launch_bounds__(THREADS, 1)
#else
#define BOUNDS __launch_bounds__(THREADS)
#endif

extern "C" __global__ void BOUNDS depthwise(const __grid_constant__ Conv p)
{
#if TABLE
    __shared__ __align__(16) uint8_t tables[TABLE_BYTES];
#endif
#if SUMS
    __shared__ int sums[C];
#endif
    let_next_start();
    uint32_t table = 0;
#if TABLE
    spread(tables, p.table, threadIdx.x, THREADS);
    table = own(tables);
#endif
#if SUMS
    for (int i = threadIdx.x; i < C; i += THREADS) sums[i] = 0;
#endif
    const int id = blockIdx.x * THREADS + threadIdx.x, cg = id % CG, place = id / CG, tx = place % TX, ty = place / TX;
    const bool live = ty < TY;
    const int image = blockIdx.y;
    uint4 w[KH][X][G];
#pragma unroll
    for (int u = 0; u < KH; ++u)
#pragma unroll
        for (int x = 0; x < X; ++x)
#pragma unroll
            for (int g = 0; g < G; ++g)
                if (4 * g + 3 >= x * SX && 4 * g < x * SX + KW) w[u][x][g] = *((const uint4 *)p.weight + ((u * X + x) * G + g) * CG + cg);
    const int4 bias = *((const int4 *)p.bias + cg), multiplier = *((const int4 *)p.multiplier + cg), shift = *((const int4 *)p.shift + cg);
    wait_for_input();
    __syncthreads();

    if (live) {
        int acc[R][X][4];
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
            for (int x = 0; x < X; ++x) acc[r][x][0] = acc[r][x][1] = acc[r][x][2] = acc[r][x][3] = 0;
        const int y0 = ty * R * SY - TOP, x0 = tx * X * SX - LEFT;
        const int8_t *const from = p.x + (int64_t)image * (H * W * C) + cg * 4;
#pragma unroll
        for (int i = 0; i < (R - 1) * SY + (KH - 1) * DY + 1; ++i) {
            const int y = y0 + i;
            const bool row_in = (unsigned)y < H;
            uint32_t px[4 * G];
#pragma unroll
            for (int j = 0; j < 4 * G; ++j) {
                const int x = x0 + j * DX;
                px[j] = j >= NP ? 0 : row_in && (unsigned)x < W ? *(const uint32_t *)(from + (y * W + x) * C) : p.fill;
            }
#pragma unroll
            for (int g = 0; g < G; ++g) {
                uint32_t t[4];
                transpose(px + 4 * g, t);
#pragma unroll
                for (int r = 0; r < R; ++r)
#pragma unroll
                    for (int u = 0; u < KH; ++u)
                        if (r * SY + u * DY == i) {
#pragma unroll
                            for (int x = 0; x < X; ++x)
                                if (4 * g + 3 >= x * SX && 4 * g < x * SX + KW) {
                                    acc[r][x][0] = __dp4a((int)t[0], (int)w[u][x][g].x, acc[r][x][0]);
                                    acc[r][x][1] = __dp4a((int)t[1], (int)w[u][x][g].y, acc[r][x][1]);
                                    acc[r][x][2] = __dp4a((int)t[2], (int)w[u][x][g].z, acc[r][x][2]);
                                    acc[r][x][3] = __dp4a((int)t[3], (int)w[u][x][g].w, acc[r][x][3]);
                                }
                        }
            }
        }
        let_next_start(2);
        const Column c[4] = {column(bias.x, multiplier.x, shift.x), column(bias.y, multiplier.y, shift.y), column(bias.z, multiplier.z, shift.z),
                             column(bias.w, multiplier.w, shift.w)};
        int total[4] = {0, 0, 0, 0};
#pragma unroll
        for (int r = 0; r < R; ++r)
#pragma unroll
            for (int x = 0; x < X; ++x) {
                const int oy = ty * R + r, ox = tx * X + x;
                if (OH % R && oy >= OH || OW % X && ox >= OW) continue;
                int v[4];
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    v[k] = finish(acc[r][x][k], c[k], p, table);
                    total[k] += v[k];
                }
                *(uint32_t *)(p.out + (((int64_t)image * OH + oy) * OW + ox) * C + cg * 4) = pack(v[0], v[1], v[2], v[3]);
            }
#if SUMS
#pragma unroll
        for (int k = 0; k < 4; ++k) atomicAdd(sums + cg * 4 + k, total[k]);
#endif
    }
#if SUMS
    __syncthreads();
    for (int i = threadIdx.x; i < C; i += THREADS)
        if (const int v = sums[i]) atomicAdd(p.sums + image * C + i, v);
#endif
}
