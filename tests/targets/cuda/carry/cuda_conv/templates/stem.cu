// Convolution of up to 4 input channels, stored 4 bytes a pixel: one dp4a per tap. A thread makes 8 channels of PIXELS pixels, its
// weights in registers (of large windows in shared memory). Constants: H, W, KH, KW, SY, SX, DY, DX, TOP, LEFT, OH, OW, N (multiple of 16), THREADS, PIXELS. weight: words
// [KH * KW][N]: the four channels of a tap. Grid: (ceil(OH * OW * N / 8 / THREADS / PIXELS), images).
#define TAPS (KH * KW)
#define GROUPS (N / 8)
#define APART (THREADS / GROUPS)  // pixels that a block's threads work on at once
static_assert(N % 16 == 0 && THREADS % GROUPS == 0, "channels");

#if TAPS <= 12
#define WEIGHT(t, i) w[t][i]
#else
#define WEIGHT(t, i) w[(t) * N + og * 8 + (i)]
#endif

extern "C" __global__ void __launch_bounds__(THREADS) stem(const __grid_constant__ Conv p)
{
#if TABLE
    __shared__ __align__(16) uint8_t tables[TABLE_BYTES];
#endif
    let_next_start();
    uint32_t table = 0;
#if TABLE
    spread(tables, p.table, threadIdx.x, THREADS);
    table = own(tables);
#endif
    const int og = threadIdx.x % GROUPS, first = blockIdx.x * (APART * PIXELS) + threadIdx.x / GROUPS;
#if TAPS <= 12
    int w[TAPS][8];
#pragma unroll
    for (int t = 0; t < TAPS; ++t)
#pragma unroll
        for (int i = 0; i < 8; i += 4) *(int4 *)(w[t] + i) = *(const int4 *)((const int *)p.weight + t * N + og * 8 + i);
#else
    __shared__ int w[TAPS * N];
    for (int i = threadIdx.x; i < TAPS * N; i += THREADS) w[i] = ((const int *)p.weight)[i];
#endif
    Column c[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) c[i] = column(p.bias[og * 8 + i], p.multiplier[og * 8 + i], p.shift[og * 8 + i]);
    __syncthreads();
    wait_for_input();
    const int *const from = (const int *)p.x + (int64_t)blockIdx.y * (H * W);
    let_next_start(2);
#pragma unroll 1
    for (int pixel = first; pixel < min(first + APART * PIXELS, OH * OW); pixel += APART) {
        const int oy = pixel / OW, ox = pixel % OW, y0 = oy * SY - TOP, x0 = ox * SX - LEFT;
        int px[TAPS], acc[8] = {0, 0, 0, 0, 0, 0, 0, 0}, v[8];
#pragma unroll
        for (int t = 0; t < TAPS; ++t) {
            const int y = y0 + t / KW * DY, x = x0 + t % KW * DX;
            px[t] = (unsigned)y < H && (unsigned)x < W ? from[y * W + x] : p.fill;
        }
#pragma unroll
        for (int t = 0; t < TAPS; ++t)
#pragma unroll
            for (int i = 0; i < 8; ++i) acc[i] = __dp4a(px[t], WEIGHT(t, i), acc[i]);
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] = finish(acc[i], c[i], p, table);
        *(uint2 *)(p.out + ((int64_t)blockIdx.y * (OH * OW) + pixel) * N + og * 8) =
            make_uint2(pack(v[0], v[1], v[2], v[3]), pack(v[4], v[5], v[6], v[7]));
    }
}
