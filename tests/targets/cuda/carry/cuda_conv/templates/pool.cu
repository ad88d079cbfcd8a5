// Mean over the pixels of an image: sums -> rescale -> int8. p.multiplier, p.shift: one; p.bias: minus pixels times the zero point.
// Constants: PIXELS, C (multiple of 16). Grid: (ceil(C / 128), images); 256 threads: 32 groups of 4 channels x 8 parts.
extern "C" __global__ void __launch_bounds__(256) pool(const __grid_constant__ Conv p)
{
    __shared__ int sums[128];
    let_next_start();
    const int cg = blockIdx.x * 32 + threadIdx.x % 32, part = threadIdx.x / 32;
    if (threadIdx.x < 128) sums[threadIdx.x] = 0;
    wait_for_input();
    __syncthreads();
    if (cg < C / 4) {
        int a[4] = {0, 0, 0, 0};
        const int8_t *const from = p.x + (int64_t)blockIdx.y * (PIXELS * C) + cg * 4;
#pragma unroll 8
        for (int i = part; i < PIXELS; i += 8) {
            const uint32_t v = *(const uint32_t *)(from + (int64_t)i * C);
#pragma unroll
            for (int k = 0; k < 4; ++k) a[k] += byte_of(v, k);
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) atomicAdd(sums + threadIdx.x % 32 * 4 + k, a[k]);
    }
    __syncthreads();
    const int c = blockIdx.x * 128 + threadIdx.x;
    if (threadIdx.x < 128 && c < C)
        p.out[(int64_t)blockIdx.y * C + c] = (int8_t)rescale(sums[threadIdx.x], column(p.bias[0], p.multiplier[0], p.shift[0]), p, 0, 0);
}
