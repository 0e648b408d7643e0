"""The two formats of an exported model: how each is written, with its facts inside."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from s4mi.errors import S4miError
from s4mi.inference.export.deployable import Deployable
from s4mi.inference.exported_program import FACTS
from s4mi.inference.model_metadata import IMAGES, KEY, LOGITS, ONNX, PROBABILITIES, PROGRAM, ModelMetadata

OPSET = 18
"""The oldest version of ONNX's operators that torch writes at first hand, so that older programs read it too."""
WORTH_IT = 0.01
"""Share of the weights from which on it pays to trace again without them."""
MOST_BYTES = 2**31 - 2**20
"""A single ONNX file holds less than 2 GiB."""


def write_onnx(model: Deployable, facts: ModelMetadata, path: Path) -> None:
    """Write an ONNX file with its weights and facts inside.

    Raises:
        S4miError: it would be too large, or the network has a part that ONNX cannot express.
    """
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > MOST_BYTES:
        raise S4miError(
            f"{facts.run.name}: has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2; export it as {PROGRAM}"
        )
    try:
        program = torch.onnx.export(
            _export(model, facts),
            (_example(facts),),
            input_names=[IMAGES],
            output_names=[PROBABILITIES, LOGITS],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    except S4miError:
        raise
    except Exception as error:  # the exporter passes on whatever stopped it
        raise _cannot(facts, "ONNX", error, other=PROGRAM) from error
    assert program is not None
    proto: Any = program.model
    proto.metadata_props[KEY] = facts.model_dump_json()
    proto.producer_name = "s4mi"
    for value in (*proto.graph.inputs, *proto.graph.outputs):
        value.shape[0] = "batch"
    program.save(str(path))


def write_program(model: Deployable, facts: ModelMetadata, path: Path) -> None:
    """Write a torch.export archive with its facts as an extra file, and no weight that its answer does not need.

    Raises:
        S4miError: the network decides by the values of tensors what it does.
    """
    program = _export(model, facts)
    if _forget_unused(model, program):
        program = _export(model, facts)
    torch.export.save(program, path, extra_files={FACTS: facts.model_dump_json()})


WRITERS: dict[str, Callable[[Deployable, ModelMetadata, Path], None]] = {ONNX: write_onnx, PROGRAM: write_program}


def _export(model: Deployable, facts: ModelMetadata) -> ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(model, (_example(facts),), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:  # tracing passes on whatever stopped it
        raise _cannot(facts, "a graph", error) from error


def _example(facts: ModelMetadata) -> Tensor:
    """Two images: of one, a graph could take their number for a constant."""
    size = facts.input.image_size
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=generator)


def _forget_unused(model: nn.Module, program: ExportedProgram) -> bool:
    """Take from the model the weights that its graph does not use, if they are worth it: those of a network that does
    not answer, but not the counters of batch normalisation."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    unused = [names[node.name] for node in program.graph.nodes if node.name in names and not node.users]
    sizes = {name: tensor.nbytes for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    if sum(sizes.get(name, 0) for name in unused) < WORTH_IT * sum(sizes.values()):
        return False
    for name in unused:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, None)
    return True


def _cannot(facts: ModelMetadata, what: str, error: Exception, *, other: str = "") -> S4miError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    cure = f"; export it as {other}" if other else "; choose another network"
    return S4miError(f"{facts.run.name}: {facts.run.backbone} cannot be written as {what} ({reason}){cure}")
