"""What must hold between passes: one module per stage, one function each."""

from edgegate.stages.floating import floating
from edgegate.stages.integer import Proof, integer, prove

__all__ = ["Proof", "floating", "integer", "prove"]
