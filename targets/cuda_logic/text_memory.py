"""CUDA C++: slots, and the entries of the program."""

from __future__ import annotations

MEMORY = r"""
typedef unsigned int word;
#define LANES (32 / SHARERS)
#define THREADS (32 * WARPS)

struct __align__(4 * VECTOR) Vec { word w[VECTOR]; };
struct __align__(4 * ENTRY) Entry { word w[ENTRY]; };
#if VECTOR == 4
typedef uint4 Raw;
#elif VECTOR == 2
typedef uint2 Raw;
#else
typedef unsigned int Raw;
#endif
// Address bit 0 of a table is operand a, so a comes last: LOP3 counts its first operand as the highest bit.
template <int TABLE> __device__ __forceinline__ word lop3(word c, word b, word a) {
  word r;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(c), "r"(b), "r"(a), "n"(TABLE));
  return r;
}
__device__ __forceinline__ word mux(word s, word one, word zero) { return lop3<0xCA>(s, one, zero); }
__device__ __forceinline__ word majority(word a, word b, word c) { return lop3<0xE8>(a, b, c); }
__device__ __forceinline__ word parity(word a, word b, word c) { return lop3<0x96>(a, b, c); }

#if ENTRY == 4
__device__ __forceinline__ word slot(const Entry& e, int i) { return e.w[i]; }
#else
__device__ __forceinline__ word slot(const Entry& e, int i) { return i & 1 ? e.w[i / 2] >> 16 : e.w[i / 2] & 0xFFFFu; }
#endif

// Where a thread's words of slot 0 lie: an address in shared memory, or a pointer.
#if SHARED
typedef word Place;
__device__ __forceinline__ Vec load(Place memory, word s) {
  Vec v;
  const word at = s * (WORDS * 4) + memory;
#if VECTOR == 4
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]) : "r"(at) : "memory");
#elif VECTOR == 2
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(v.w[0]), "=r"(v.w[1]) : "r"(at) : "memory");
#else
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v.w[0]) : "r"(at) : "memory");
#endif
  return v;
}
__device__ __forceinline__ void store(Place memory, word s, const Vec& v) {
  const word at = s * (WORDS * 4) + memory;
#if VECTOR == 4
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};"
               :: "r"(at), "r"(v.w[0]), "r"(v.w[1]), "r"(v.w[2]), "r"(v.w[3]) : "memory");
#elif VECTOR == 2
  asm volatile("st.shared.v2.u32 [%0], {%1, %2};" :: "r"(at), "r"(v.w[0]), "r"(v.w[1]) : "memory");
#else
  asm volatile("st.shared.u32 [%0], %1;" :: "r"(at), "r"(v.w[0]) : "memory");
#endif
}
#else
typedef word* Place;
__device__ __forceinline__ Vec load(Place memory, word s) {
  Raw raw = *reinterpret_cast<const Raw*>(memory + (long long)s * WORDS);
  return *reinterpret_cast<Vec*>(&raw);
}
__device__ __forceinline__ void store(Place memory, word s, const Vec& v) {
  *reinterpret_cast<Raw*>(memory + (long long)s * WORDS) = *reinterpret_cast<const Raw*>(&v);
}
#endif
// What a lane does next; volatile, so that the load is where it was written and its target where it will be read.
__device__ __forceinline__ void fetch(Entry& e, word& head, const word* program, const word* heads) {
#if ENTRY == 4
  asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(e.w[0]), "=r"(e.w[1]), "=r"(e.w[2]), "=r"(e.w[3]) : "l"(program));
#else
  asm volatile("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(e.w[0]), "=r"(e.w[1]) : "l"(program));
#endif
  asm volatile("ld.global.nc.u32 %0, [%1];" : "=r"(head) : "l"(heads));
}
"""
