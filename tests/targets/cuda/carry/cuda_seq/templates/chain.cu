// Common to all kernels of cuda_seq: pieces of the element-wise chains, which plan.py writes.
#include <cstdint>

// With the 1, ptxas gives a thread all the registers that one block can have; on sm_80 to 89 it spilled a few without.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define BOUNDS __launch_bounds__(THREADS, 1)
#else
#define BOUNDS __launch_bounds__(THREADS)
#endif

// One interval of a table of 513 knots: knot in the low half, slope in the high half.
__device__ __forceinline__ int knots(int word, int fraction) { return ((int)(int16_t)word << 7) + (word >> 16) * fraction; }

// a * b + c of 32 x 32 + 64 bits: one IMAD.WIDE.
__device__ __forceinline__ int64_t mad_wide(int a, int b, int64_t c)
{
    int64_t y;
    asm("mad.wide.s32 %0, %1, %2, %3;" : "=l"(y) : "r"(a), "r"(b), "l"(c));
    return y;
}

// 8 int16 -> 8 bytes of one plane: the high bytes, or the low bytes less 128 (so that both planes are signed):
// value = 256 * high + low + 128. `select` is 0x7531 or 0x6420, `turn` 0 or 0x80808080.
__device__ __forceinline__ uint2 plane(uint4 v, uint32_t select, uint32_t turn)
{
    return make_uint2(__byte_perm(v.x, v.y, select) ^ turn, __byte_perm(v.z, v.w, select) ^ turn);
}

// d += 16 x 32 of weights times (8 x 32 of tokens)^T.
__device__ __forceinline__ void mma(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
