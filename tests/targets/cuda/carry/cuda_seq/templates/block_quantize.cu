// A transform of every block of 32 (integer matrices, or Hadamard's), its Rescale, and block floating point, in one kernel:
// x int8 or int16 [M, K] -> significands int8 [M, K] and exponents int8 [M, K / 32].
//
// A warp takes one block of BATCHES x 4 rows (int8: x 8). The matrix is mma's 16-row operand, twice: result r = 4 g + i stands
// in lane group g, so that each lane has four neighbours to pack. int16 rows are two columns, high bytes and low bytes - 128.
#define THREADS 128
#define PLANES (A16 ? 2 : 1)
#define TOKENS (8 / PLANES)  // rows of x per mma

#if HADAMARD
// Entries c = 8 q to 8 q + 7 of row r: (-1)^popcount(r & c), packed.
__device__ __forceinline__ uint2 matrix_piece(const int8_t *, int, int r, int q)
{
    uint32_t w[2];
    const uint32_t far = __popc(r >> 3 & q) & 1;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
        uint32_t odd = (r & 1) * 0x01000100u ^ (r >> 1 & 1) * 0x01010000u ^ ((h & r >> 2) ^ far) * 0x01010101u;
        w[h] = odd * 0xfe + 0x01010101u;  // 1 or -1 (255) in each byte: no carries
    }
    return make_uint2(w[0], w[1]);
}
#else
__device__ __forceinline__ uint2 matrix_piece(const int8_t *matrices, int block, int r, int q)
{
    return __ldg((const uint2 *)(matrices + block * 1024 + r * 32 + q * 8));
}
#endif

extern "C" __global__ void BOUNDS
    quantize(const X *__restrict__ x, const int8_t *__restrict__ matrices, const int32_t *__restrict__ offsets, int8_t *__restrict__ y,
             int8_t *__restrict__ exponents, int M, int K)
{
    const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4, blocks = K / 32;
    const int block = blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
#if AFTER
    asm volatile("griddepcontrol.launch_dependents;");
#endif
    if (block >= blocks) return;
    uint2 row[4];
    int offset[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        row[i] = matrix_piece(matrices, block, 4 * g + i, q);
        // 128 x the row's sum for the low bytes, less the zero point's part: made by the host (0 for int8 without zero point)
        offset[i] = HADAMARD ? (4 * g + i == 0 ? 32 * ((A16 ? 128 : 0) - ZERO_POINT) : 0) : (A16 || ZERO_POINT) ? __ldg(offsets + block * 32 + 4 * g + i) : 0;
    }
#if AFTER
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
    for (int t0 = blockIdx.y * TOKENS * BATCHES, end = min(M, t0 + TOKENS * BATCHES); t0 < end; t0 += TOKENS) {
        const X *const from = x + (int64_t)min(t0 + g / PLANES, M - 1) * K + block * 32 + 8 * q;
#if A16
        const uint2 b = plane(*(const uint4 *)from, lane & 4 ? 0x6420 : 0x7531, lane & 4 ? 0x80808080u : 0u);
#else
        const uint2 b = *(const uint2 *)from;
#endif
        int d[2][4] = {};
        mma(d[0], row[0].x, row[1].x, row[0].y, row[1].y, b.x, b.y);
        mma(d[1], row[2].x, row[3].x, row[2].y, row[3].y, b.x, b.y);
        // Results 4 g + i of token q (int16), or of tokens 2 q and 2 q + 1.
#pragma unroll
        for (int e = 0; e < (A16 ? 1 : 2); ++e) {
            int v[4];
            unsigned most = 0;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int *const s = d[i / 2] + i % 2 * 2;
                v[i] = rescaled((A16 ? 256 * s[0] + s[1] : s[e]) + offset[i]);
                most = max(most, (unsigned)abs(v[i]));
            }
            most = max(most, __shfl_xor_sync(~0u, most, 4));
            most = max(most, __shfl_xor_sync(~0u, most, 8));
            most = max(most, __shfl_xor_sync(~0u, most, 16));
            const int length = 32 - __clz(most);
            int step = length - 1 - TOP;
#if RULE == 1
            step += most && ((uint64_t)most << (TOP + 2)) >= ((uint64_t)((1 << (TOP + 2)) - 1) << length);
#elif RULE == 2
            step += most && ((uint64_t)most << (TOP + 1)) > ((uint64_t)HIGH << length);
#endif
            const int shift = max(step, 0), finer = max(-step, 0);
            const int least = -(finer > 31 ? 0 : -(LOW) >> finer), greatest = finer > 31 ? 0 : HIGH >> finer;
            const unsigned half = (1u << shift) >> 1;
            uint32_t packed = 0;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int carry = ROUNDING == 0 ? v[i] >> shift & 1 : ROUNDING == 1 ? 1 : ROUNDING == 2 ? 0 : v[i] >= 0;
                const int bias = ROUNDING == 2 ? 0 : max((int)half - 1 + carry, 0);
                const int rounded = (int)(((int64_t)v[i] + bias) >> shift);
                packed |= (uint32_t)(min(max(rounded, least), greatest) & 255) << 8 * i;
            }
            const int t = t0 + (A16 ? q : 2 * q + e);
            if (t < M) {
                *(uint32_t *)(y + (int64_t)t * K + block * 32 + 4 * g) = packed;
                if (g == 0) exponents[(int64_t)t * blocks + block] = (int8_t)shift;
            }
        }
    }
}
