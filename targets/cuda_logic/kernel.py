"""The CUDA C++ of a plan: one kernel that runs it, and kernels that pack rows of samples.

What differs from network to network is a head of definitions and the list of tables; the rest is text.
"""

from __future__ import annotations

from edgegate.targets.cuda_logic.encode import BARRIER, COUNTS
from edgegate.targets.cuda_logic.operations import operations
from edgegate.targets.cuda_logic.plan import Plan
from edgegate.targets.cuda_logic.text_main import MAIN
from edgegate.targets.cuda_logic.text_memory import MEMORY
from edgegate.targets.cuda_logic.text_pack import PACK
from edgegate.targets.cuda_logic.text_sums import SUMS


def source(plan: Plan, *, blocks: int = 1) -> str:
    """The CUDA C++ of a plan.

    Args:
        plan: The program; its tables are constants of the code, its entries are not in it.
        blocks: Blocks that a multiprocessor should hold at a time.
    """
    head = "".join(f"#define {name} {value}\n" for name, value in definitions(plan, blocks).items())
    return head + MEMORY + operations(plan) + SUMS + MAIN + PACK


def definitions(plan: Plan, blocks: int = 1) -> dict[str, int | str]:
    """What the text of the kernel leaves open."""
    shape, teams = plan.shape, plan.teams
    return {
        "WORDS": shape.words, "VECTOR": shape.vector, "SHARERS": shape.sharers, "COLOURS": shape.colours,
        "WARPS": shape.warps, "BLOCKS": blocks, "SHARED": int(shape.shared), "SLOTS": plan.slots,
        "STEPS": len(plan.entries), "ENTRY": plan.entries.shape[-1],
        "BARRIER": f"{BARRIER}u", "COUNTS": f"{COUNTS}u", "FLUSHES": 2, "SHOWN": len(plan.shown),
        "SUMS": teams.groups, "PLANES": plan.planes, "TEAM": teams.lanes * shape.sharers,
        "TALLY": tally_planes(plan), "TEAMS": teams.at_once * teams.each, "EACH": teams.each,
        "AT_ONCE": max(teams.at_once, 1), "COUNTING": _counting(plan), "TALLY_AT": tally_at(plan),
    }  # fmt: skip


def tally_planes(plan: Plan) -> int:
    """Bits of the count of a team."""
    return plan.planes + plan.teams.lanes.bit_length() - 1


def shared_bytes(plan: Plan) -> int:
    """Bytes of shared memory that a block takes."""
    teams, words = plan.teams, plan.shape.words
    size = -(-tally_planes(plan) // 8) * 8 * words + 1
    tally = teams.at_once * teams.each * size if teams.groups else 0
    return 4 * max(plan.slots * words, tally_at(plan) + tally) if plan.shape.shared else 4 * tally


def tally_at(plan: Plan) -> int:
    """Where the counts of the teams lie, in words: upon values that nothing reads any more, if there are such.

    Zeros and inputs keep their slots, so that the next inputs can come while the counts are written out.
    """
    if plan.teams.rounds > 1 or len(plan.shown):
        return plan.slots * plan.shape.words
    return max(plan.shape.reserved, int(plan.given.max(initial=-1)) + 1) * plan.shape.words


def _counting(plan: Plan) -> int:
    """Warps that add up the counts of a team; those behind them give the block its next inputs meanwhile.

    All of them if nobody can, since the values are still read.
    """
    teams = plan.teams
    if teams.rounds != 1 or len(plan.shown) or not plan.shape.shared:
        return plan.shape.warps
    return -(-teams.at_once * teams.each // teams.in_warp)
