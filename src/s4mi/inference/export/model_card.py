"""Write the card beside an exported model: collect the outputs of the run and let the report format them."""

import csv
import json
from pathlib import Path

import yaml

from s4mi.config.layers import leaves
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.inference.export.card_place import take_off_others
from s4mi.inference.export.verify import Verification
from s4mi.inference.model_metadata import IMAGES, LOGITS, ONNX, PROBABILITIES, ModelMetadata
from s4mi.records import ImageScores, Predictions, RunRecord, write_text_atomically
from s4mi.reporting.results.per_image import read_image_scores
from s4mi.reporting.results.test_predictions import read_predictions
from s4mi.reporting.writers.markdown import code_span, markdown_text, one_line
from s4mi.reporting.writers.model_card import CardSource, ModelFile, card_text
from s4mi.training.run_dir import RunDir

HIDDEN = ("data.path", "data.cache", "split.file", "hardware", "health", "method.pretrained")
"""Settings that name a path on a machine, or do not affect the model."""


def write_model_card(
    card: Path,
    file: Path,
    run: Path,
    record: RunRecord,
    metadata: ModelMetadata,
    verification: Verification,
    *,
    twin: Path | None,
    others: tuple[RunRecord, ...] = (),
    why: str = "",
) -> None:
    """Write the card of the model in `file`, exported from the run in the folder `run`, atomically.

    Args:
        twin: the same model in the other format, or None.
        others: records of the same technique with other seeds. why: how this run was selected.
    """
    spec = load_spec(run)
    images, predictions = _test_results(run)
    source = CardSource(
        record=record,
        files=_files(file, twin, metadata, verification),
        settings=_settings(run),
        inputs=_input_notes(metadata),
        calibration=metadata.calibration,
        images=images,
        predictions=predictions,
        others=others,
        why=why,
        source=spec.source,
        licence=spec.licence,
    )
    write_text_atomically(card, card_text(source))
    take_off_others(card, [file.with_name(listed.name) for listed in source.files])


def _test_results(run: Path) -> tuple[tuple[ImageScores, ...], Predictions | None]:
    """Scores and predictions of single test images; empty if they cannot be read."""
    try:
        return read_image_scores(run), read_predictions(run)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error):
        return (), None


def _files(file: Path, twin: Path | None, metadata: ModelMetadata, verification: Verification) -> list[ModelFile]:
    """The model, and the same model in the other format if it was exported to the same folder under the same name."""
    checked = f"probabilities agree to {verification.text} on {verification.origin}"
    files = [(file, checked)]
    if twin is not None:
        files.append((twin, "likewise, when it was exported"))
    return [ModelFile(path.name, path.stat().st_size / 1e6, text, _example(path, metadata)) for path, text in files]


def _settings(run: Path) -> dict[str, str]:
    """The run's settings as `section.key: value`, without those that are `HIDDEN`."""
    contents = yaml.safe_load(RunDir(run).config_path.read_text(encoding="utf-8"))
    return {
        name: str(_without_folders(value))
        for name, value in leaves(contents)
        if value is not None and not any(name == hidden or name.startswith(f"{hidden}.") for hidden in HIDDEN)
    }


def _without_folders(value: object) -> object:
    """A setting in which paths are only names: folders say where a model was made, and often by whom."""
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    return Path(value).name if isinstance(value, str) and "/" in value else value


def _input_notes(metadata: ModelMetadata) -> list[str]:
    """How an image becomes the model's input, and what its outputs are, one line each."""
    image_input, size = metadata.input, metadata.input.image_size
    through = f" via {image_input.resize_through}×{image_input.resize_through}" if image_input.resize_through else ""
    lines = []
    if image_input.tile:
        lines.append(
            f"Large images are cut into tiles of {image_input.tile}×{image_input.tile} pixels, padded with black; each "
            "tile is a separate input."
        )
    lines += [
        f"Resize to {size}×{size}{through}: {image_input.resizing.partition(';')[0]}. The aspect ratio is not kept.",
        f"`{IMAGES}`: uint8, (batch, {size}, {size}, 3), RGB, any batch size. Values of more than 8 bits are mapped to "
        f"0..255 by the rule {code_span(image_input.intensity)}.",
    ]
    inside = ["scaling", "normalisation"]
    if metadata.red_channel_normalisation:
        inside.insert(0, "red-channel normalisation")
    inside += ["temperature scaling", "sigmoid" if metadata.task == "multilabel" else "softmax"]
    lines.append(f"Inside the graph: {', '.join(inside)}. Do not apply them yourself.")
    shape = f"(batch, {len(metadata.classes)}{f', {size}, {size}' if metadata.task == 'segmentation' else ''})"
    classes = markdown_text(", ".join(metadata.classes))
    lines.append(f"`{PROBABILITIES}`: float32, {shape}, for {classes}. `{LOGITS}`: before temperature scaling.")
    if metadata.task == "segmentation":
        lines.append("For a mask, resize the probabilities to the image's size, then take the most likely class.")
    return lines


def _example(file: Path, metadata: ModelMetadata) -> str:
    """Python code that predicts one image with the file: five lines after the imports."""
    size, through = metadata.input.image_size, metadata.input.resize_through
    read = ['image = cv2.cvtColor(cv2.imread("image.png"), cv2.COLOR_BGR2RGB)']
    for side in (size,) if through is None else (through, size):
        rule = f"cv2.INTER_AREA if min(image.shape[:2]) > {side} else cv2.INTER_LINEAR"
        read.append(f"image = cv2.resize(image, ({side}, {side}), interpolation={rule})")
    name = json.dumps(file.name)
    if file.suffix.lower() == ONNX:
        lines = ["import cv2, json, onnxruntime", f"session = onnxruntime.InferenceSession({name})", *read]
        lines += [
            f'(p,) = session.run(["{PROBABILITIES}"], {{"{IMAGES}": image[None]}})',
            'classes = json.loads(session.get_modelmeta().custom_metadata_map["s4mi"])["classes"]',
        ]
    else:
        lines = ["import cv2, torch", f"model = torch.export.load({name}).module()", *read]
        lines += [f"p, logits = model(torch.from_numpy(image[None]))  # {one_line(', '.join(metadata.classes))}"]
    return "\n".join(lines)
