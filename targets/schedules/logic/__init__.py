"""Networks of gates as code of their own: an instruction for a gate, 64 to 512 samples at a time."""

from edgegate.targets.schedules.logic._kernel import logic_code

__all__ = ["logic_code"]
