#!/usr/bin/env bash
# Packages: torch 2.14.1, onnx 1.22.0, onnxscript 0.7.0, numpy 2.4.3; Python 3.11, CPU.
#
# `torch.onnx.export(..., dynamo=True)` (the default exporter since torch 2.9) stores in every node of the graph the Python
# stack at which it was traced, as metadata `pkg.torch.onnx.stack_trace`: source file with its absolute path, line number
# and the text of the line. So an ONNX file that is handed to another hospital names the account, the folders and
# the source lines of the machine on which it was written. No option of `export` leaves it out; `onnx.save`, the checker and ONNX Runtime
# keep it. One has to delete the `metadata_props` of the nodes after the export.
#
# Seen: every one of the 3 nodes of a two-layer network carries the path of the script that exported it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torch==2.14.1 onnx==1.22.0 onnxscript==0.7.0 numpy==2.4.3
mkdir "$work/ward-7-private"
cat > "$work/ward-7-private/network.py" <<'PYTHON'
import onnx
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.convolution(images).relu().mean(dim=(2, 3))


torch.onnx.export(Network().eval(), (torch.zeros(1, 3, 8, 8),), "model.onnx", dynamo=True, verbose=False)
graph = onnx.load("model.onnx").graph
naming = [
    node.op_type
    for node in graph.node
    if any("ward-7-private" in item.value for item in node.metadata_props)
]
print(f"{len(naming)} of {len(graph.node)} nodes name the folder of the exporting script: {', '.join(naming)}")
assert b"ward-7-private" in open("model.onnx", "rb").read()
assert len(naming) == len(graph.node) == 3
PYTHON
cd "$work"
venv/bin/python ward-7-private/network.py 2>/dev/null
