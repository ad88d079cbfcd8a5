"""graphs/*.onnx -> graphs/*.pickle, and the plans' reference against the project's interpreter."""
import pathlib, pickle, sys
import numpy as np
import onnx_ir as ir
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[6]))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import plan
HERE = pathlib.Path(__file__).parent
for name in sys.argv[1:]:
    model = ir.load(HERE / f"{name}.onnx")
    p = plan.of_graph(model.graph)
    for k, t in model.graph.initializers.items():
        p["constants"][k] = t.const_value.numpy()
    for op, a, _, _ in p["nodes"]:
        if op == "onnx.Scan":
            body = a["body"]
            for _, _, inputs, _ in body["nodes"]:
                body["constants"].update({i: p["constants"][i] for i in inputs if i in p["constants"]})
    (HERE / f"{name}.pickle").write_bytes(pickle.dumps(p))
    print(name, len(p["nodes"]), "nodes", sum(c.nbytes for c in p["constants"].values()), "bytes of constants")
