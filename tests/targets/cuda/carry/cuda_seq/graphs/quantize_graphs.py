"""Quantize the networks whose kernels are written here, print their integer graphs, keep them as ONNX in graphs/."""
import pathlib
import sys
import numpy as np
import onnx_ir as ir
import torch
from torch import nn
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[6]))
from edgegate.compiler import integer_model
from edgegate.options import CompileOptions
from edgegate.passes.over_time import over_time
from edgegate.nn import MaskedGLU
from tests import bench_nets

HERE = pathlib.Path(__file__).parent


class Recurrent(nn.Module):
    def __init__(self, steps=1024, kind=nn.GRU, width=256):
        super().__init__()
        self.inner = kind(width, width, batch_first=True)
    def forward(self, x):
        return self.inner(x)[0]


def show(graph, indent=""):
    for n in graph:
        def d(v):
            if v is None: return "-"
            t = f"{v.dtype}".split(".")[-1] if v.dtype else "?"
            c = "=" if v.const_value is not None else ""
            return f"{v.name}:{t}{list(v.shape) if v.shape is not None else '?'}{c}"
        attrs = {k: (a.value if a.type != ir.AttributeType.GRAPH else "GRAPH") for k, a in n.attributes.items()}
        print(f"{indent}{n.domain}.{n.op_type} ({', '.join(map(d, n.inputs))}) -> ({', '.join(map(d, n.outputs))}) {attrs}")
        for a in n.attributes.values():
            if a.type == ir.AttributeType.GRAPH:
                print(indent, "  body inputs", [d(v) for v in a.value.inputs], "outputs", [d(v) for v in a.value.outputs])
                show(a.value, indent + "    ")


def make(which):
    torch.manual_seed(0)
    if which.startswith("gru"):
        parts = which.split("_"); batch = int(parts[2]) if len(parts) > 2 else 1; steps = int(parts[1])
        return Recurrent(steps).eval(), torch.randn(batch, steps, 256), 4
    if which.startswith("lstm"):
        return Recurrent(64, nn.LSTM).eval(), torch.randn(1, 64, 256), 4
    if which == "swiglu":
        return bench_nets.SwiGlu().eval(), torch.randn(1, 2048), 64
    if which == "mglu":
        return MaskedGLU(2048, 8192, masks=4).eval(), torch.randn(1, 2048), 64
    if which == "mglu_small":
        return nn.Sequential(MaskedGLU(64, 96, masks=4), nn.Linear(96, 64)).eval(), torch.randn(1, 64), 64


for which in sys.argv[1:]:
    net, x, count = make(which)
    calib = torch.randn(count * x.shape[0], *x.shape[1:])
    model, scheme, proof = integer_model(net, (x,), CompileOptions(calib={"": calib.numpy()}))
    print("=====", which)
    show(model.graph)
    ir.save(model, HERE / f"{which}.onnx")
