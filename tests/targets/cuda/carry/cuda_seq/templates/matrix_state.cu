// What a recurrence of matrices is made of; matrix_state.py writes the kernel.

// EACH neighbours of a vector, held as they lie in memory.
template <typename T> struct Piece {
    static constexpr int BYTES = EACH * (int)sizeof(T), WIDTH = BYTES % 16 == 0 ? 16 : BYTES % 8 == 0 ? 8 : BYTES % 4 == 0 ? 4 : (int)sizeof(T);
    static constexpr int WORDS_ = (BYTES + 3) / 4;
    uint32_t w[WORDS_];
    __device__ __forceinline__ void load(const T *p)
    {
        if (WIDTH == 16) {
#pragma unroll
            for (int i = 0; i < WORDS_ / 4; ++i) {
                const uint4 v = __ldg((const uint4 *)p + i);
                w[4 * i] = v.x, w[4 * i + 1] = v.y, w[4 * i + 2] = v.z, w[4 * i + 3] = v.w;
            }
        } else if (WIDTH == 8) {
#pragma unroll
            for (int i = 0; i < WORDS_ / 2; ++i) {
                const uint2 v = __ldg((const uint2 *)p + i);
                w[2 * i] = v.x, w[2 * i + 1] = v.y;
            }
        } else if (WIDTH == 4) {
#pragma unroll
            for (int i = 0; i < WORDS_; ++i) w[i] = __ldg((const uint32_t *)p + i);
        } else {
#pragma unroll
            for (int i = 0; i < WORDS_; ++i) w[i] = 0;
#pragma unroll
            for (int i = 0; i < EACH; ++i) w[i * sizeof(T) / 4] |= ((uint32_t)__ldg(p + i) & (sizeof(T) == 1 ? 0xffu : 0xffffu)) << 8 * (i * sizeof(T) % 4);
        }
    }
    __device__ __forceinline__ int at(int k) const
    {
        return (T)(w[k * sizeof(T) / 4] >> 8 * (k * sizeof(T) % 4));
    }
};

__device__ __forceinline__ int64_t sum_over_lanes(int64_t v)
{
#pragma unroll
    for (int i = 1; i < SPLIT; i *= 2) v += __shfl_xor_sync(~0u, v, i);
    return v;
}
