"""`MODEL_CARD.md` beside an exported model: gathers what the run left, and lets the report write it."""

import csv
from pathlib import Path

import yaml

from s4mi.config.layers import leaves
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.inference.export.verify import Check
from s4mi.inference.load import open_exported
from s4mi.inference.model_metadata import ENDINGS, IMAGES, LOGITS, ONNX, PROBABILITIES, ModelMetadata
from s4mi.records import ImageScores, Predictions, RunRecord, write_text_atomically
from s4mi.report.results.per_image import read_image_scores
from s4mi.report.results.test_predictions import read_predictions
from s4mi.report.writers.model_card import CardSource, ModelFile, card_mark, card_text
from s4mi.training.run_dir import RunDir

CARD_NAME = "MODEL_CARD.md"
HIDDEN = ("data.path", "data.cache", "split.file", "hardware", "health", "method.pretrained")
"""Settings that name a place on a machine, or decide about nothing in the model."""


def check_card(card: Path, record: RunRecord, *, overwrite: bool) -> None:
    """Raise `S4miError` if the card of another model is there, which would be lost."""
    if overwrite or not card.exists():
        return
    first = card.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    if first != card_mark(record):
        raise S4miError(
            f"{card}: is there already, and not the card of this run; choose another folder, or replace it with "
            "--overwrite"
        )


def write_model_card(
    card: Path,
    file: Path,
    run: Path,
    record: RunRecord,
    facts: ModelMetadata,
    check: Check,
    *,
    others: tuple[RunRecord, ...] = (),
    why: str = "",
) -> None:
    """Write the card of the model in `file`, which holds the run in the folder `run`, atomically."""
    spec = load_spec(run)
    images, predictions = _single_images(run)
    source = CardSource(
        record=record,
        files=_files(file, facts, check),
        settings=_settings(run),
        inputs=_inputs(facts),
        calibration=facts.calibration,
        images=images,
        predictions=predictions,
        others=others,
        why=why,
        source=spec.source,
        licence=spec.licence,
    )
    write_text_atomically(card, card_text(source))


def _single_images(run: Path) -> tuple[tuple[ImageScores, ...], Predictions | None]:
    """What the run left on its test images; nothing where that cannot be read."""
    try:
        return read_image_scores(run), read_predictions(run)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error):
        return (), None


def _files(file: Path, facts: ModelMetadata, check: Check) -> list[ModelFile]:
    """The model, and the same one in the other format if it was exported into the same folder under the same name."""
    checked = f"probabilities are the same to {max(check.difference, 1e-7):.0e}, on {check.origin}"
    others = [other for other in (file.with_suffix(ending) for ending in ENDINGS) if other != file]
    known = [(file, checked), *((other, "likewise, when it was written") for other in others if _holds(other, facts))]
    return [ModelFile(one.name, one.stat().st_size / 1e6, words, _load(one, facts)) for one, words in known]


def _holds(file: Path, facts: ModelMetadata) -> bool:
    """Whether this is a file with the model of the same run."""
    try:
        return file.exists() and open_exported(file).facts == facts
    except S4miError:
        return False


def _settings(run: Path) -> dict[str, str]:
    """The run's settings as `section.key: value`, without those that are `HIDDEN`."""
    contents = yaml.safe_load(RunDir(run).config_path.read_text(encoding="utf-8"))
    return {
        name: Path(value).name if isinstance(value, str) and "/" in value else str(value)
        for name, value in leaves(contents)
        if value is not None and not any(name == one or name.startswith(f"{one}.") for one in HIDDEN)
    }


def _inputs(facts: ModelMetadata) -> list[str]:
    """How an image becomes the model's input, and what comes out, a line each."""
    given, size = facts.input, facts.input.image_size
    through = f" by way of {given.resize_through}×{given.resize_through}" if given.resize_through else ""
    lines = []
    if given.tile:
        lines.append(
            f"Large images are cut into squares of {given.tile} pixels, padded with black; each is an input of its own."
        )
    lines += [
        f"Resize to {size}×{size}{through}: {given.resizing.partition(';')[0]}. Aspect is not kept.",
        f"`{IMAGES}`: uint8, (batch, {size}, {size}, 3), red green blue, any number of images. Numbers of more than 8 "
        f"bits become 0..255 by the rule `{given.intensity}`.",
    ]
    inside = ["scaling", "normalisation"]
    if facts.red_channel_normalisation:
        inside.insert(0, "red-channel normalisation")
    inside += ["temperature", "sigmoid" if facts.task == "multilabel" else "softmax"]
    lines.append(f"Inside the graph: {', '.join(inside)}. Do none of these yourself.")
    shape = f"(batch, {len(facts.classes)}{f', {size}, {size}' if facts.task == 'segmentation' else ''})"
    lines.append(
        f"`{PROBABILITIES}`: float32, {shape}, of {', '.join(facts.classes)}. `{LOGITS}`: before the temperature."
    )
    if facts.task == "segmentation":
        lines.append("For a mask, resize the probabilities to the image's size, then take the likeliest class.")
    return lines


def _load(file: Path, facts: ModelMetadata) -> str:
    """Python that predictions one image with the file: five lines after the imports."""
    size, through = facts.input.image_size, facts.input.resize_through
    read = ['image = cv2.cvtColor(cv2.imread("image.png"), cv2.COLOR_BGR2RGB)']
    for side in (size,) if through is None else (through, size):
        rule = f"cv2.INTER_AREA if min(image.shape[:2]) > {side} else cv2.INTER_LINEAR"
        read.append(f"image = cv2.resize(image, ({side}, {side}), interpolation={rule})")
    if file.suffix.lower() == ONNX:
        lines = ["import cv2, json, onnxruntime", f'session = onnxruntime.InferenceSession("{file.name}")', *read]
        lines += [
            f'(p,) = session.run(["{PROBABILITIES}"], {{"{IMAGES}": image[None]}})',
            'classes = json.loads(session.get_modelmeta().custom_metadata_map["s4mi"])["classes"]',
        ]
    else:
        lines = ["import cv2, torch", f'model = torch.export.load("{file.name}").module()', *read]
        lines += [f"p, logits = model(torch.from_numpy(image[None]))  # {', '.join(facts.classes)}"]
    return "\n".join(lines)
