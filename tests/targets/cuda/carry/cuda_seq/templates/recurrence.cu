// What a persistent recurrence is made of; recurrence.py writes the kernel.
#if MODE_CLUSTER
#define IN_CLUSTER __cluster_dims__(CTAS, 1, 1)
#else
#define IN_CLUSTER
#endif

// An element, extended by the load itself: nvcc's own ld.u16 and prmt made every step wait for the load of two steps later.
__device__ __forceinline__ int element(const int16_t *p)
{
    int v;
    asm volatile("ld.global.nc.s16 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}
__device__ __forceinline__ int element(const int8_t *p)
{
    int v;
    asm volatile("ld.global.nc.s8 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}
__device__ __forceinline__ int element(const uint8_t *p)
{
    int v;
    asm volatile("ld.global.nc.u8 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}
__device__ __forceinline__ int element(const int32_t *p)
{
    int v;
    asm volatile("ld.global.nc.s32 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}

__device__ __forceinline__ uint4 load_shared(const uint8_t *p) { return *(const uint4 *)p; }
__device__ __forceinline__ uint2 load_shared2(const uint8_t *p) { return *(const uint2 *)p; }
// From L2: other SMs have written it.
__device__ __forceinline__ uint4 load_cg(const uint8_t *p) { return __ldcg((const uint4 *)p); }
__device__ __forceinline__ uint2 load_cg2(const uint8_t *p) { return __ldcg((const uint2 *)p); }

#if MODE_CLUSTER
__device__ __forceinline__ uint32_t address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void barrier_init(uint64_t *b) { asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(address(b)) : "memory"); }
__device__ __forceinline__ void barriers_ready() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ __forceinline__ void barrier_expect(uint64_t *b, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address(b)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void barrier_wait(uint64_t *b, uint32_t parity)
{
    uint32_t done;
    do {
        asm volatile("{\n.reg .pred done;\nmbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\nselp.u32 %0, 1, 0, done;\n}"
                     : "=r"(done)
                     : "r"(address(b)), "r"(parity)
                     : "memory");
    } while (!done);
}
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
// 16 bytes to the same kind of place in another CTA, and their count to its barrier: one trip.
__device__ __forceinline__ void send16(uint32_t to, uint4 v, uint32_t barrier, uint32_t cta)
{
    asm volatile(
        "{\n.reg .b32 there, counts;\n"
        "mapa.shared::cluster.u32 there, %0, %6;\n"
        "mapa.shared::cluster.u32 counts, %5, %6;\n"
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [there], {%1, %2, %3, %4}, [counts];\n}" ::"r"(to),
        "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w), "r"(barrier), "r"(cta)
        : "memory");
}
#endif

#if MODE_GRID
// Every CTA adds one; all wait for the round's total. Co-resident CTAs only (cooperative launch).
__device__ __forceinline__ void grid_arrive(unsigned *counter)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        asm volatile("fence.acq_rel.gpu;" ::: "memory");
        asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
    }
}
__device__ __forceinline__ void grid_wait(unsigned *counter, unsigned total)
{
    if (threadIdx.x == 0) {
        unsigned seen;
        do {
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(counter) : "memory");
        } while (seen < total);
    }
    __syncthreads();
}
#endif

// WORDS_ pieces of 16 bytes of a warp's 32 staged items (from item `first` on) to where their units stand in the vector.
template <int COUNT, int SIZE>
__device__ __forceinline__ void send_words(const uint8_t *stage, uint8_t *to, int pitch, int first, int cta, int lane, uint64_t *barrier)
{
#if MODE_CLUSTER
#pragma unroll
    for (int m = 0; m < (COUNT * CTAS + 31) / 32; ++m) {
        const int i = m * 32 + lane, word = i % COUNT, other = i / COUNT, item = first + word * (16 / SIZE);
        if (i < COUNT * CTAS && item < ITEMS)
            send16(address(to + (item / UNITS * pitch + cta * UNITS + item % UNITS) * SIZE), *(const uint4 *)(stage + item * SIZE),
                   address(barrier), other);
    }
#else
    (void)barrier;
    const int item = first + lane * (16 / SIZE);
    if (lane < COUNT && item < ITEMS)
        *(uint4 *)(to + (item / UNITS * pitch + cta * UNITS + item % UNITS) * SIZE) = *(const uint4 *)(stage + item * SIZE);
#endif
}
