// PTX of sm_90a used by the wgmma kernels. Section names are those of the PTX ISA manual.

// As cuda.h has it; the host fills it with cuTensorMapEncodeTiled and passes it by value.
struct alignas(64) CUtensorMap {
    uint64_t opaque[16];
};

// Shared-memory addresses are 32-bit in the shared window; every CTA of a cluster has the same layout.
__device__ __forceinline__ uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

// "mbarrier": a 64-bit object with a phase; a phase completes when the expected arrivals AND the expected bytes are in.
__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes fresh barriers seen by the async proxy and by the other CTAs (after the cluster's or the CTA's barrier).
__device__ __forceinline__ void barriers_ready() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// One arrival, and so many bytes to come by TMA in this phase.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrive at the barrier of the same place in another CTA of the cluster ("mapa": its address in the cluster's window).
// Without .release.cluster, which would be a membar for the whole GPU at every step of K: no ordinary access has to be
// ordered here, only wgmma's reads, and those are over when wgmma.wait_group returns.
__device__ __forceinline__ void barrier_arrive_at(uint32_t barrier, uint32_t cta)
{
    asm volatile(
        "{\n.reg .b32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(barrier), "r"(cta) : "memory");
}

// Wait until the phase of this parity has completed. A fresh barrier is in phase 0: waiting for parity 1 returns at once,
// which is how producers find all stages empty at the start.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity)
{
    uint32_t done;
    do {
        asm volatile(
            "{\n.reg .pred done;\n"
            "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
            "selp.u32 %0, 1, 0, done;\n}" : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
    } while (!done);
}

__device__ __forceinline__ uint32_t cluster_rank()
{
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// Execution only; barriers_ready() is the fence where the other CTAs need fresh barriers. (.release is a membar.gpu.)
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }

// A named barrier ("bar") among some warps of the CTA.
__device__ __forceinline__ void named_sync(int id, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// "cp.async.bulk.tensor": one thread starts the copy of a box; out of range reads as 0 and still counts its bytes.
__device__ __forceinline__ void load_box(uint32_t to, const CUtensorMap *map, int x, int y, uint32_t barrier)
{
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
        "l"(map), "r"(x), "r"(y), "r"(barrier)
        : "memory");
}

// The same into every CTA in the mask, at the same place; each one's own barrier at that place gets the bytes.
__device__ __forceinline__ void load_box_to(uint32_t to, const CUtensorMap *map, int x, int y, uint32_t barrier, uint16_t mask)
{
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
        "l"(map), "r"(x), "r"(y), "r"(barrier), "h"(mask)
        : "memory");
}

// A box from shared memory to memory. `first`: what is written is the first that L2 may give up, so that it does not drive
// out what is still to be read.
__device__ __forceinline__ void store_box(const CUtensorMap *map, int x, int y, uint32_t from, bool first)
{
    if (first) {
        uint64_t policy;
        asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
        asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group.L2::cache_hint [%0, {%1, %2}], [%3], %4;" ::"l"(map),
                     "r"(x), "r"(y), "r"(from), "l"(policy)
                     : "memory");
    } else {
        asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map), "r"(x), "r"(y),
                     "r"(from)
                     : "memory");
    }
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

// "cp.async.bulk" from here to the same kind of place in another CTA, whose barrier gets the bytes.
__device__ __forceinline__ void send(uint32_t to, uint32_t from, uint32_t bytes, uint32_t barrier, uint32_t cta)
{
    asm volatile(
        "{\n.reg .b32 there, counts;\n"
        "mapa.shared::cluster.u32 there, %0, %4;\n"
        "mapa.shared::cluster.u32 counts, %3, %4;\n"
        "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [there], [%1], %2, [counts];\n}" ::"r"(to),
        "r"(from), "r"(bytes), "r"(barrier), "r"(cta)
        : "memory");
}

// At most so many of the thread's stores still read shared memory.
template <int left> __device__ __forceinline__ void stores_read()
{
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(left) : "memory");
}
__device__ __forceinline__ void stores_done() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

// After ordinary stores to shared memory, before TMA (the async proxy) reads them.
__device__ __forceinline__ void fence_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void prefetch_map(const CUtensorMap *map)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// "wgmma.fence": registers written before are seen by the wgmma that follow.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int left> __device__ __forceinline__ void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}

// "Matrix descriptor format" of "Asynchronous warpgroup level matrix instructions", for a K-major operand whose rows are
// 128 bytes in 128-byte swizzle, as TMA writes it (16-byte chunk c of row r stands at chunk c ^ (r % 8)):
//   bits  0-13  address / 16 (the tile starts at a multiple of 1024; a step of 32 bytes along K adds 2)
//   bits 16-29  leading byte offset / 16: unused in swizzled K-major layouts, 1
//   bits 32-45  stride byte offset / 16: from 8 rows to the next 8, 1024 / 16 = 64
//   bits 49-51  base offset: 0 because of the alignment
//   bits 62-63  1: 128-byte swizzle
__device__ __forceinline__ uint64_t descriptor(uint32_t address)
{
    return (uint64_t)((address & 0x3FFFF) >> 4) | (uint64_t)1 << 16 | (uint64_t)64 << 32 | (uint64_t)1 << 62;
}
