"""Networks of gates as code of their own: an instruction for a gate, 64 to 512 samples at a time."""

from edgegate.targets.schedules.logic._bound import Bound, bound
from edgegate.targets.schedules.logic._kernel import logic_code

__all__ = ["Bound", "bound", "logic_code"]
