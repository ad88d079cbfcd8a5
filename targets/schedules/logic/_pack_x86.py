"""Whole blocks of 512 samples packed by AVX-512, in assembly.

LLVM knows too much of sums of bits: of the two instructions for 64 bytes (compare, add where true) it makes four.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgegate.targets.schedules.logic._transpose import GROUP

NAME = "edgegate_pack_512"
LANES = 64
"""Bytes of a register: columns that are packed at a time."""
ROWS = ("", ",%rsi", ",%rsi,2", ",%r9", ",%rsi,4", ",%r10", ",%r9,2", ",%r11")
"""Eight rows, from the address of the first."""


def slots_for(columns: int) -> int:
    """Slots that the function needs: false, and a tile of 64 for every 64 columns."""
    return 1 + -(-columns // LANES) * LANES


def packing() -> Iterator[str]:
    """A function of: the rows, where the first one starts among them, bytes of a row, the slots.

    Byte ``j`` of a slot holds the bits of samples ``8 j`` to ``8 j + 7``. First, in the order of memory, the bytes
    ``j`` of 64 columns go to slot ``j`` of their tile; then bytes and columns change places in every tile.
    """
    yield from ("pushq %rbx", "pushq %r12", "pushq %r13", "addq %rsi, %rdi", "movq %rdx, %rsi")
    yield from ("leaq (%rsi,%rsi,2), %r9", "leaq (%rsi,%rsi,4), %r10", "leaq (%r9,%rsi,4), %r11")
    yield from (f"addq ${LANES}, %rcx", "leaq -1(%rsi), %r12", "shrq $6, %r12")
    yield from _rows()
    yield from ("leaq 1(%r12), %r8", "3:")
    yield from _turn()
    yield from ("decq %r8", "jnz 3b", "popq %r13", "popq %r12", "popq %rbx", "vzeroupper", "ret")


def _rows() -> Iterator[str]:
    """Bytes of eight samples, of all columns, 64 times; the last columns under a mask, so that nothing else is read."""
    yield from ("vpternlogd $255, %zmm31, %zmm31, %zmm31", "vpabsb %zmm31, %zmm16")
    yield from (f"vpaddb %zmm{16 + t}, %zmm{16 + t}, %zmm{17 + t}" for t in range(7))
    yield from ("movl %esi, %eax", "negl %eax", "andl $63, %eax", "movq $-1, %rbx")
    yield from ("shrxq %rax, %rbx, %rbx", "kmovq %rbx, %k7", f"movl ${LANES}, %r13d", "1:")
    yield from ("movq %rdi, %rax", "movq %rcx, %rbx", "movq %r12, %r8", "testq %r8, %r8", "jz 4f", "2:")
    yield from _byte("")
    yield from (f"addq ${LANES}, %rax", f"addq ${LANES * LANES}, %rbx", "decq %r8", "jnz 2b", "4:")
    yield from _byte(" {%k7}")
    yield from ("leaq (%rdi,%rsi,8), %rdi", f"addq ${LANES}, %rcx", "decl %r13d", "jnz 1b")
    yield f"subq ${LANES * LANES}, %rcx"


def _byte(mask: str) -> Iterator[str]:
    """A bit of each of eight samples, of 64 columns."""
    for t, row in enumerate(ROWS):
        yield f"vptestmb (%rax{row}), %zmm31, %k{1 + t % 6}{mask}"
        where = f"{{%k{1 + t % 6}}}"
        yield f"vpaddb %zmm{16 + t}, %zmm0, %zmm0 {where}" if t else f"vmovdqu8 %zmm16, %zmm0 {where} {{z}}"
    yield "vmovdqu64 %zmm0, (%rbx)"


def _turn() -> Iterator[str]:
    """Bytes of columns to columns of bytes, in one tile."""
    yield from (f"movl ${LANES // GROUP}, %r13d", "5:")
    yield from (f"vmovdqu64 {LANES * i}(%rcx), %zmm{i}" for i in range(GROUP))
    for start in (0, GROUP, 0, GROUP):
        for i in range(GROUP):
            low = start + i // 2
            name = ("vpunpcklbw", "vpunpckhbw")[i % 2]
            yield f"{name} %zmm{low + GROUP // 2}, %zmm{low}, %zmm{GROUP - start + i}"
    yield from (f"vmovdqu64 %zmm{i}, {LANES * i}(%rcx)" for i in range(GROUP))
    yield from (f"addq ${LANES * GROUP}, %rcx", "decl %r13d", "jnz 5b")
    yield from (f"subq ${LANES * LANES}, %rcx", f"movl ${GROUP}, %r13d", "6:")
    yield from (f"vmovdqu64 {LANES * GROUP * i}(%rcx), %zmm{i}" for i in range(4))
    for i, (order, pair) in enumerate(((0x44, 0), (0xEE, 0), (0x44, 2), (0xEE, 2))):
        yield f"vshufi64x2 ${order}, %zmm{pair + 1}, %zmm{pair}, %zmm{4 + i}"
    for i, (order, pair) in enumerate(((0x88, 4), (0xDD, 4), (0x88, 5), (0xDD, 5))):
        yield f"vshufi64x2 ${order}, %zmm{pair + 2}, %zmm{pair}, %zmm{i}"
    yield from (f"vmovdqu64 %zmm{i}, {LANES * GROUP * i}(%rcx)" for i in range(4))
    yield from (f"addq ${LANES}, %rcx", "decl %r13d", "jnz 6b")
    yield f"addq ${LANES * (LANES - GROUP)}, %rcx"
