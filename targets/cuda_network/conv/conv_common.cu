// Common to the convolution kernels: parameters and the arithmetic of the epilogues. Constants stand before this text.
#include <cstdint>

#ifndef TABLE
#define TABLE 0  // 1: the rescaled int8 goes through a table of 256 bytes, indexed by the value + 128
#endif
#ifndef PAIR
#define PAIR 0  // 1: columns 2 j and 2 j + 1 are feature and gate j: two rescales, two tables, their product
#endif
#ifndef RESIDUAL
#define RESIDUAL 0  // 1: an int8 tensor of the output's shape is added (Add)
#endif
#ifndef GATED
#define GATED 0  // 1: the input is multiplied by a gate per (image, channel) as it is loaded (GatedProduct)
#endif
#ifndef GATE_SIGNED
#define GATE_SIGNED 0  // type of that gate, and of table 1 of a pair: 0 uint8, 1 int8
#endif
#ifndef PDL
#define PDL 0  // 1: programmatic dependent launch (sm_90 on): wait for the kernel before only where its output is read; 2: and let the
               // next one start only after the main loop (many blocks)
#endif

// GatedProduct: clip(((v - value_zero) * (g - gate_zero) * multiplier + 2^(s-1) >> s) + zero_point, low, high).
struct Product {
    int32_t value_zero, gate_zero, multiplier, shift, zero_point, low, high;
};

// Add: clip(((a - a_zero) * a_multiplier + (b - b_zero) * b_multiplier + 2^(s-1) >> s) + zero_point, low, high), in int32.
struct Sum {
    int32_t a_zero, b_zero, a_multiplier, b_multiplier, shift, zero_point, low, high;
};

// A kernel's only parameter. 9 pointers, then 32-bit fields.
struct Conv {
    const int8_t *x;            // [images, H, W, C], C a multiple of 16 (stem: 4)
    const int8_t *weight;
    int8_t *out;                // [images, OH, OW, channels rounded up to 16]
    const int32_t *bias;        // minus the input's zero point times the sum of the weights
    const int32_t *multiplier;  // 0 or [2^30, 2^31)
    const int32_t *shift;       // [32, 62]
    const uint8_t *table;       // 256 bytes; two tables for a pair
    const uint8_t *gate;        // [images, C]
    const int8_t *residual;     // like out
    int32_t *sums;              // depthwise: [images, C], added to
    int32_t images, fill;       // fill: the input's zero point in each of four bytes
    int32_t zero_point[2], low[2], high[2];
    Product product;  // of the pair
    Product gating;   // of the input
    Sum sum;
};

// The upper half of a * m + addend: one IMAD.HI. (Left to the compiler, a product with a uniform m becomes 64 x 64 bits.)
__device__ __forceinline__ int32_t upper(int32_t a, int32_t m, int64_t addend)
{
    int64_t wide;
    asm("mul.wide.s32 %0, %1, %2;" : "=l"(wide) : "r"(a), "r"(m));
    return (int32_t)((wide + addend) >> 32);
}

// With 32 <= s <= 62 and |a * m| <= 2^62 the 64-bit sum does not overflow, and (x >> s) == ((x >> 32) >> (s - 32)).
__device__ __forceinline__ int32_t scaled(int32_t a, int32_t m, int32_t s)
{
    return upper(a, m, 1LL << (s - 1)) >> (s - 32);
}

// The same with the rounding term's upper and lower halves given (constants of the kernel).
__device__ __forceinline__ int32_t scaled_by(int32_t a, int32_t m, int64_t half, int32_t s)
{
    return upper(a, m, half) >> (s - 32);
}

__device__ __forceinline__ int32_t clip(int32_t v, int32_t low, int32_t high) { return min(max(v, low), high); }

// What a column's rescale needs, 16 bytes: (a + bias) * m + 2^(s-1) is a * m + addend.
struct alignas(16) Column {
    int64_t addend;  // bias * m + 2^(s-1)
    int32_t multiplier, more;  // more: s - 32
};
__device__ __forceinline__ Column column_at(const Column *from)
{
    const int4 c = *(const int4 *)from;  // one load
    return Column{(int64_t)((uint64_t)(uint32_t)c.y << 32 | (uint32_t)c.x), c.z, c.w};
}
__device__ __forceinline__ Column column(int32_t bias, int32_t multiplier, int32_t shift)
{
    return Column{(int64_t)bias * multiplier + (1LL << (shift - 1)), multiplier, shift - 32};
}

// A table in shared memory, every four entries 32 times: lane l reads bank l, so that look-ups of a warp meet no conflicts.
#define TABLE_BYTES 8192
__device__ __forceinline__ void spread(uint8_t *to, const uint8_t *from, int thread, int threads)
{
#pragma unroll 4
    for (int i = thread; i < 512; i += threads) {
        const uint32_t four = ((const uint32_t *)from)[i / 8];
        ((uint4 *)to)[i] = make_uint4(four, four, four, four);
    }
}
// Where this lane's copy starts.
__device__ __forceinline__ uint32_t own(const uint8_t *table) { return (uint32_t)__cvta_generic_to_shared(table) + threadIdx.x % 32 * 4; }
__device__ __forceinline__ uint32_t entry(uint32_t table, int i) { return (i & ~3) * 31 + (i + table); }  // i / 4 * 128 + i % 4
__device__ __forceinline__ int32_t look_signed(uint32_t table, int i)
{
    int32_t v;
    asm("ld.shared.s8 %0, [%1];" : "=r"(v) : "r"(entry(table, i)));
    return v;
}
__device__ __forceinline__ int32_t look_unsigned(uint32_t table, int i)
{
    int32_t v;
    asm("ld.shared.u8 %0, [%1];" : "=r"(v) : "r"(entry(table, i)));
    return v;
}

// Rescaled and clipped, plus `above`.
__device__ __forceinline__ int32_t rescale(int32_t a, const Column &c, const Conv &p, int which, int above)
{
    const int32_t v = upper(a, c.multiplier, c.addend) >> c.more;
    return clip(v + (p.zero_point[which] + above), p.low[which] + above, p.high[which] + above);
}

// Rescale and table of one column. table: own() of the table.
__device__ __forceinline__ int32_t finish(int32_t a, const Column &c, const Conv &p, uint32_t table)
{
#if TABLE
    return look_signed(table, rescale(a, c, p, 0, 128));
#else
    return rescale(a, c, p, 0, 0);
#endif
}

// Feature a and gate b of one channel. table: of the feature; the gate's lies TABLE_BYTES further.
__device__ __forceinline__ int32_t finish_pair(int32_t a, int32_t b, const Column &c, const Column &d, const Conv &p, uint32_t table)
{
    const int32_t v = look_signed(table, rescale(a, c, p, 0, 128)), at = rescale(b, d, p, 1, 128);
    const int32_t g = GATE_SIGNED ? look_signed(table + TABLE_BYTES, at) : look_unsigned(table + TABLE_BYTES, at);
    const Product &q = p.product;
    const int64_t half = 1LL << (q.shift - 1);
    return clip(scaled_by((v - q.value_zero) * (g - q.gate_zero), q.multiplier, half, q.shift) + q.zero_point, q.low, q.high);
}

// Byte i of a word, sign or zero extended: one PRMT.
__device__ __forceinline__ int32_t byte_of(uint32_t word, int i)
{
    int32_t v;
    asm("prmt.b32 %0, %1, 0, %2;" : "=r"(v) : "r"(word), "r"(0x8880 + 0x1111 * i));
    return v;
}
__device__ __forceinline__ int32_t unsigned_byte_of(uint32_t word, int i)
{
    int32_t v;
    asm("prmt.b32 %0, %1, 0, %2;" : "=r"(v) : "r"(word), "r"(0x4440 + i));
    return v;
}
__device__ __forceinline__ uint32_t pack(int a, int b, int c, int d)
{
    return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410);
}

// Add on four bytes.
__device__ __forceinline__ uint32_t add4(uint32_t a, uint32_t b, const Sum &q)
{
    int r[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int t = (byte_of(a, i) - q.a_zero) * q.a_multiplier + (byte_of(b, i) - q.b_zero) * q.b_multiplier;
        r[i] = clip((t + (1 << (q.shift - 1)) >> q.shift) + q.zero_point, q.low, q.high);
    }
    return pack(r[0], r[1], r[2], r[3]);
}

// GatedProduct on four bytes and four gates minus their zero point.
__device__ __forceinline__ uint32_t gate4(uint32_t v, const int (&g)[4], const Product &q)
{
    int r[4];
    const int64_t half = 1LL << (q.shift - 1);
#pragma unroll
    for (int i = 0; i < 4; ++i)
        r[i] = clip(scaled_by((byte_of(v, i) - q.value_zero) * g[i], q.multiplier, half, q.shift) + q.zero_point, q.low, q.high);
    return pack(r[0], r[1], r[2], r[3]);
}
__device__ __forceinline__ void gates_of(uint32_t word, const Product &q, int (&g)[4])
{
#pragma unroll
    for (int i = 0; i < 4; ++i) g[i] = (GATE_SIGNED ? byte_of(word, i) : unsigned_byte_of(word, i)) - q.gate_zero;
}

// Programmatic dependent launch: the next kernel may start; and wait until all kernels before are done and seen.
__device__ __forceinline__ void let_next_start(int when = 1)
{
#if PDL
    if (PDL == when) asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_input()
{
#if PDL
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
