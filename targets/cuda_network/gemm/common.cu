// Common to all kernels: the epilogue. Constants a template is instantiated with stand before this text.
#include <cstdint>

#ifndef OUT_INT8
#define OUT_INT8 0  // 0: int32 out; 1: rescaled to int8
#endif
#ifndef BIAS
#define BIAS 0  // 1: an int32 per column is added first
#endif
#ifndef PER_COLUMN
#define PER_COLUMN 1  // 1: a multiplier and shift per column; 0: one for all (the fields all_*)
#endif
#ifndef TABLE
#define TABLE 0  // 1: the int8 goes through a table of 256 int8, indexed by the value + 128
#endif
#if TABLE && !OUT_INT8
#error "a table needs int8"
#endif

#if OUT_INT8
typedef int8_t Out;
#else
typedef int32_t Out;
#endif

// What the epilogue needs, by value as a kernel parameter (constant bank). 4 pointers, 5 int32; 56 bytes.
struct Finish {
    const int32_t *bias;
    const int32_t *multiplier;  // [2^30, 2^31)
    const int32_t *shift;       // [32, 62]: the compiler proves shift > 31
    const int8_t *table;
    int32_t all_multiplier, all_shift, zero_point, low, high;
};

struct Column {
    int32_t bias, multiplier, shift;
};

// The parameters of output column n (none beyond the edge, where nothing is stored).
__device__ __forceinline__ Column column_of(const Finish &f, int n, int columns)
{
    Column c = {0, f.all_multiplier, f.all_shift};
    const bool inside = n < columns;
    (void)inside;
#if BIAS
    c.bias = inside ? __ldg(f.bias + n) : 0;
#endif
#if OUT_INT8 && PER_COLUMN
    c.multiplier = inside ? __ldg(f.multiplier + n) : 0;
    c.shift = inside ? __ldg(f.shift + n) : 32;
#endif
    return c;
}

// Of columns n and n + 1, n even: 8-byte loads.
__device__ __forceinline__ void columns_of(const Finish &f, int n, int columns, Column &c, Column &d)
{
    if (n + 1 >= columns) {
        c = column_of(f, n, columns);
        d = column_of(f, n + 1, columns);
        return;
    }
    c = d = Column{0, f.all_multiplier, f.all_shift};
#if BIAS
    const int2 b = __ldg((const int2 *)(f.bias + n));
    c.bias = b.x, d.bias = b.y;
#endif
#if OUT_INT8 && PER_COLUMN
    const int2 m = __ldg((const int2 *)(f.multiplier + n)), s = __ldg((const int2 *)(f.shift + n));
    c.multiplier = m.x, d.multiplier = m.y, c.shift = s.x, d.shift = s.y;
#endif
}

// clip(((a * m + 2^(s-1)) >> s) + zero_point, low, high), exactly. With 32 <= s <= 62 and |a * m| <= 2^62 the 64-bit sum
// does not overflow, (x >> s) == ((x >> 32) >> (s - 32)), and what is left is at most 2^30: adding the zero point in 32
// bits is exact too. One IMAD.WIDE with a 64-bit addend, one shift, an add, a min and a max.
__device__ __forceinline__ int32_t finish(int32_t a, const Column &c, const Finish &f, const int8_t *table)
{
#if BIAS
    a += c.bias;
#endif
#if OUT_INT8
    const int64_t wide = (int64_t)a * c.multiplier + (1LL << (c.shift - 1));
    a = (int32_t)(wide >> 32) >> (c.shift - 32);
    a = min(max(a + f.zero_point, f.low), f.high);
#if TABLE
    a = table[a + 128];
#endif
#endif
    return a;
}

// Tile number -> tile coordinates in supergroups of so many rows: blocks that run together read few rows and few columns
// of tiles, so that both stay in L2.
__device__ __forceinline__ void locate(int tile, int rows, int columns, int group, int &row, int &column)
{
    const int each = group * columns, first = tile / each * group, high = min(rows - first, group), rest = tile % each;
    row = first + rest % high;
    column = rest / high;
}
