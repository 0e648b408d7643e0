"""Writers of the two formats of an exported model, each with its metadata inside."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from s4mi.errors import S4miError
from s4mi.inference.export.deployable import Deployable
from s4mi.inference.exported_program import METADATA_FILE
from s4mi.inference.model_metadata import IMAGES, KEY, LOGITS, ONNX, PROBABILITIES, PROGRAM, ModelMetadata

OPSET = 18
"""The oldest ONNX operator set that torch exports natively, so that older programs can read it too."""
MIN_UNUSED_SHARE = 0.01
"""Share of unused weights above which the network is traced again without them."""
MAX_BYTES = 2**31 - 2**20
"""A single ONNX file holds less than 2 GiB."""


def write_onnx(model: Deployable, metadata: ModelMetadata, path: Path) -> None:
    """Write an ONNX file that contains its weights and metadata.

    Raises:
        S4miError: it would be too large, or ONNX cannot represent the network.
    """
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > MAX_BYTES:
        raise S4miError(
            f"{metadata.run.name}: its {size / 1e9:.1f} GB of weights exceed the 2 GB of an ONNX file; export it as "
            f"{PROGRAM}"
        )
    try:
        program = torch.onnx.export(
            _export(model, metadata),
            (_example(metadata),),
            input_names=[IMAGES],
            output_names=[PROBABILITIES, LOGITS],
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    except S4miError:
        raise
    except Exception as error:  # the exporter may raise anything
        raise _export_error(metadata, "ONNX", error, alternative=PROGRAM) from error
    assert program is not None
    proto: Any = program.model
    proto.metadata_props[KEY] = metadata.model_dump_json()
    proto.producer_name = "s4mi"
    for value in (*proto.graph.inputs, *proto.graph.outputs):
        value.shape[0] = "batch"
    program.save(str(path))


def write_program(model: Deployable, metadata: ModelMetadata, path: Path) -> None:
    """Write a torch.export archive with its metadata as an extra file, without weights that predictions do not use.

    Raises:
        S4miError: the network has data-dependent control flow.
    """
    program = _export(model, metadata)
    if _drop_unused_weights(model, program):
        program = _export(model, metadata)
    # In memory first: torch's writer of files ends the process, without an exception, where the disk is full.
    archive = io.BytesIO()
    torch.export.save(program, archive, extra_files={METADATA_FILE: metadata.model_dump_json()})
    path.write_bytes(archive.getbuffer())


WRITERS: dict[str, Callable[[Deployable, ModelMetadata, Path], None]] = {ONNX: write_onnx, PROGRAM: write_program}


def _export(model: Deployable, metadata: ModelMetadata) -> ExportedProgram:
    try:
        with torch.no_grad():
            program = torch.export.export(model, (_example(metadata),), dynamic_shapes=({0: Dim("batch")},))
    except S4miError as error:  # part of the method says why it cannot be in a file, and what to do
        raise S4miError(f"{metadata.run.name}: {error}") from error
    except Exception as error:  # tracing may raise anything
        raise _export_error(metadata, "a graph", error) from error
    _drop_stack_traces(program)
    return program


def _drop_stack_traces(program: ExportedProgram) -> None:
    """Remove the source paths of this machine, which torch notes at every node and would write into the file."""
    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


def _example(metadata: ModelMetadata) -> Tensor:
    """Two images: with a single one, tracing would take the batch size for a constant."""
    size = metadata.input.image_size
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=generator)


def _drop_unused_weights(model: nn.Module, program: ExportedProgram) -> bool:
    """Remove the weights that the graph does not use if they are large: ensemble members that were not selected, but
    not the counters of batch normalisation."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    unused = [names[node.name] for node in program.graph.nodes if node.name in names and not node.users]
    sizes = {name: tensor.nbytes for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    if sum(sizes.get(name, 0) for name in unused) < MIN_UNUSED_SHARE * sum(sizes.values()):
        return False
    for name in unused:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, None)
    return True


def _export_error(metadata: ModelMetadata, form: str, error: Exception, *, alternative: str = "") -> S4miError:
    if isinstance(error, S4miError):  # what cannot be exported says so itself
        return S4miError(f"{metadata.run.name}: {error}")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    hint = f"export it as {alternative}" if alternative else "choose another network"
    return S4miError(f"{metadata.run.name}: {metadata.run.backbone} cannot be exported as {form} ({reason}); {hint}")
