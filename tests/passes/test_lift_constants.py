import onnx_ir as ir

from edgegate.passes.lift_constants import lift_constants
from tests.passes.text import HEADER


def test_constants_become_initializers_with_names():
    """What a Constant holds has its value's name, whatever attribute it came in: it is written to files by it."""
    model = ir.from_onnx_text(
        HEADER
        + """g (float[3,2] x) => (float[2] y) {
            i = Constant <value_int = 1> ()
            f = Constant <value = float[2] {1, 2}> ()
            z = Gather (x, i)
            y = Add (z, f)
        }"""
    )
    lift_constants(model)
    assert [n.op_type for n in model.graph] == ["Gather", "Add"]
    tensors = {name: v.const_value for name, v in model.graph.initializers.items()}
    assert {name: t.name for name, t in tensors.items() if t is not None} == {"i": "i", "f": "f"}
