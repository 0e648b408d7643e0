"""Time prediction from image files: `s4mi predict` of a run and of its ONNX file against a typical PyTorch loop.

    python benchmarks/inference.py [--images N] [--rounds R] [--quick]

All three alternate in one process, so that other load on the machine affects all alike. Networks are loaded
before timing; reading, the network, and writing predictions (a table, or a mask per image at its own size) are timed.

The peer is a careful eager loop over a `DataLoader` with processes: OpenCV for resizing, inference mode, one mask file
per image. It writes masks and probabilities only; s4mi also measures each mask and computes the entropy of each
prediction. Before timing, all three must give the same predictions.

The rows "the network alone" use a batch in memory: ONNX Runtime against eager PyTorch.
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from measured import Pair, Work, machine, report, turn_by_turn
from s4mi.config import RunConfig, make_run_config, save_run_config
from s4mi.contract import Classifier, Segmenter, Task
from s4mi.data.sources.synthetic import draw_lesions
from s4mi.data.spec import DatasetSpec, write_spec
from s4mi.engine.checkpoint import save_best
from s4mi.inference.export.deployable import Deployable
from s4mi.inference.export.formats import write_onnx
from s4mi.inference.image_list import find_inputs
from s4mi.inference.model_metadata import ImageInput, ModelMetadata, SourceRun
from s4mi.inference.onnx_model import OnnxModel
from s4mi.inference.pipeline import prediction_stream
from s4mi.inference.predictor import Model, Predictor
from s4mi.inference.run_model import RunModel
from s4mi.inference.writers.classification import PredictionWriter
from s4mi.inference.writers.segmentation import MaskWriter
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import build_method

PAGE = 512
BATCH = 16
SAME = 1e-4
"""Largest difference of probabilities."""
SAME_PIXELS = 0.9999
CLASSES = ("melanoma", "nevus", "seborrheic_keratosis")
ROW = 10
"""Row of the summary."""
PACKAGES = ("torch", "onnxruntime", "timm", "opencv-python-headless", "Pillow")


@dataclass(frozen=True)
class Contest:
    """One network on image files; `method` as in a run file."""

    title: str
    size: int
    method: dict[str, object]

    @property
    def segments(self) -> bool:
        return self.method["name"] == "dedl"


LARGE = [
    Contest("ResNet-50, 224", 224, {"name": "finetune", "backbone": "resnet50", "weights": "none"}),
    Contest("ResNet-34 U-Net, 224", 224, {"name": "dedl", "encoder": "resnet34", "weights": "none"}),
]
SMALL = [
    Contest("tiny ResNet, 64", 64, {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}),
    Contest(
        "tiny ResNet U-Net, 64", 64,
        {"name": "dedl", "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [64, 32, 16, 8]},
    ),
]  # fmt: skip


class Files(Dataset[tuple[Tensor, int]]):
    """Image files, loaded as is common for a network."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths = sorted(folder.iterdir())
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[number]) as file:
            image = np.asarray(file.convert("RGB"))
        resized = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(resized).permute(2, 0, 1).float().div_(255), number


def main() -> None:
    """Generate the images, run the measurements, print the table."""
    arguments = _arguments()
    torch.manual_seed(0)
    setting = (
        f"{machine(PACKAGES)} {arguments.images} JPEGs of {PAGE}×{PAGE}, batches of {BATCH}; torch and ONNX Runtime "
        f"with {torch.get_num_threads()} threads each, the loader with {arguments.workers} processes, s4mi decodes and "
        f"writes in {os.cpu_count()} threads."
    )
    pairs: list[Pair] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        images = Path(name) / "images"
        images.mkdir()
        for number, drawing in enumerate(draw_lesions(arguments.images, size=PAGE, seed=0)):
            Image.fromarray(drawing.image).save(images / f"{number:04d}.jpg", quality=90)
        for contest in SMALL if arguments.quick else LARGE:
            pairs += _contest(contest, images, Path(name) / str(contest.method["name"]), arguments, notes)
    report("inference", setting, pairs, text="\n".join(f"- {line}" for line in notes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time prediction from image files.")
    parser.add_argument("--images", type=int, help="number of image files (default: 64; 24 with --quick)")
    parser.add_argument("--rounds", type=int, help="measurements of each side (default: 3)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the peer's loader")
    parser.add_argument("--quick", action="store_true", help="small networks, few images")
    given = parser.parse_args()
    given.images = given.images or (24 if given.quick else 64)
    given.rounds = given.rounds or 3
    return given


def _contest(
    contest: Contest, images: Path, home: Path, arguments: argparse.Namespace, notes: list[str]
) -> Iterator[Pair]:
    """Yield the rows of a network, after adding a line on the agreement of the predictions to `notes`."""
    config, spec = _settings(contest, home)
    kind = spec.tasks[0]
    task = Task(kind=kind, classes=spec.classes_of(kind), image_size=contest.size, counts=(), labelled=0)
    method = build_method(config, task)
    assert isinstance(method, Classifier | Segmenter)
    _settle(method, Files(images, contest.size))
    run = RunDir(home / "run")
    run.checkpoints.mkdir(parents=True)
    save_run_config(config, run.config_path)
    write_spec(run.path, spec)
    save_best(run.checkpoints, method.state_dict(), epoch=1)
    deployable = Deployable(method, multilabel=False, red_channel_normalisation=False, temperature=1.0)
    write_onnx(deployable, _facts(contest, spec), home / "model.onnx")
    sides = {
        "eager loop": _peer(contest, method, images, home / "peer", arguments.workers),
        "`s4mi predict` of the run": _ours(RunModel(run.path), images, home / "run-predictions"),
        "`s4mi predict` of its ONNX file": _ours(
            OnnxModel(home / "model.onnx", threads=torch.get_num_threads()), images, home / "onnx-predictions"
        ),
    }
    for work in sides.values():
        work()
    for folder in ("run-predictions", "onnx-predictions"):
        notes.append(_check(contest, home / "peer", home / folder))
        print(notes[-1], flush=True)
    yield from _pairs(contest.title, turn_by_turn(sides, arguments.rounds), number=ROW)
    batch = np.stack(
        [(255 * Files(images, contest.size)[number][0]).byte().permute(1, 2, 0) for number in range(BATCH)]
    )
    alone = turn_by_turn(_alone(deployable, home, batch), arguments.rounds)
    yield from _pairs(f"{contest.title}, the network alone", alone)


def _settings(contest: Contest, home: Path) -> tuple[RunConfig, DatasetSpec]:
    contents = {
        "data": {"path": str(home), "image_size": contest.size},
        "method": contest.method,
        "hardware": {"accelerator": "cpu"},
    }
    mask_values: dict[int | str, str] = {0: "background", 255: "lesion"}
    if contest.segments:
        spec = DatasetSpec(name="drawn", tasks=("segmentation",), mask_values=mask_values, synthetic=True)
    else:
        spec = DatasetSpec(name="drawn", tasks=("multiclass",), classes=CLASSES, synthetic=True)
    return make_run_config(contents, origin="benchmark"), spec


def _settle(method: Classifier | Segmenter, files: Files) -> None:
    """Update the running statistics of batch normalisation, so that predictions of random weights vary over pixels."""
    with torch.no_grad():
        for _ in range(20):
            method.train().logits(torch.stack([files[number][0] for number in range(8)]))
    method.eval()


def _facts(contest: Contest, spec: DatasetSpec) -> ModelMetadata:
    given = ImageInput(
        image_size=contest.size, resize_through=None, tile=None, intensity=spec.intensity, channels=spec.channels
    )
    origin = SourceRun(
        name="run", method=str(contest.method["name"]), technique="", backbone=contest.title, member="",
        dataset=spec.name, synthetic=True, seed=0, config_hash="", split_hash="", data_hash="",
    )  # fmt: skip
    return ModelMetadata(
        task=spec.tasks[0],
        classes=spec.classes_of(spec.tasks[0]),
        mask_values={str(key): name for key, name in spec.mask_values.items()},
        input=given,
        red_channel_normalisation=False,
        calibration=None,
        run=origin,
    )


def _ours(model: Model, images: Path, out: Path) -> Work:
    """Return what `s4mi predict` does after loading the network."""
    predictor = Predictor((model,))

    def work() -> int:
        asked = find_inputs([images], (), None)
        out.mkdir(exist_ok=True)
        writer: MaskWriter | PredictionWriter
        if predictor.segments:
            writer = MaskWriter(out, asked, predictor, overlay=False, sheet=False, form="png", resume=False)
        else:
            writer = PredictionWriter(out, asked, predictor, resume=False)
        with writer:
            for one, made in prediction_stream(asked, predictor, writer.process, writer.keep):
                writer.write(one, made)  # type: ignore[arg-type]
        return len(asked)

    return work


def _peer(contest: Contest, method: Classifier | Segmenter, images: Path, out: Path, workers: int) -> Work:
    """Return the typical loop, with the same weights."""
    files = Files(images, contest.size)
    loader = DataLoader(files, BATCH, num_workers=workers, persistent_workers=workers > 0)
    out.mkdir()

    def probabilities() -> Iterator[tuple[str, Tensor]]:
        with torch.inference_mode():
            for pixels, numbers in loader:
                for one, number in zip(method.logits(pixels).softmax(dim=1), numbers.tolist(), strict=True):
                    yield files.paths[number].name, one

    def masks() -> int:
        count = 0
        for name, one in probabilities():
            page = F.interpolate(one[None], size=(PAGE, PAGE), mode="bilinear", align_corners=False)[0]
            Image.fromarray((255 * page.argmax(dim=0)).byte().numpy()).save((out / name).with_suffix(".png"))
            count += 1
        return count

    def table() -> int:
        with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["id", *CLASSES])
            count = 0
            for name, one in probabilities():
                rows.writerow([name, *(f"{p:.6f}" for p in one.tolist())])
                count += 1
        return count

    return masks if contest.segments else table


def _alone(deployable: Deployable, home: Path, batch: NDArray[np.uint8]) -> dict[str, Work]:
    session, tensor = OnnxModel(home / "model.onnx", threads=torch.get_num_threads()), torch.from_numpy(batch)

    def eager() -> int:
        with torch.inference_mode():
            deployable(tensor)
        return len(batch)

    def graph() -> int:
        session.probabilities(batch)
        return len(batch)

    with torch.inference_mode():
        difference = float(np.abs(deployable(tensor)[0].numpy() - session.probabilities(batch)).max())
    if difference > SAME:
        raise SystemExit(f"probabilities of the networks alone differ by {difference:.0e}, so nothing is timed")
    return {"eager PyTorch": eager, "ONNX Runtime": graph}


def _check(contest: Contest, peer: Path, ours: Path) -> str:
    """Describe in one line how well the predictions agree with the peer's.

    Raises:
        SystemExit: they do not agree.
    """
    if contest.segments:
        pairs = [
            (np.asarray(Image.open(path)), np.asarray(Image.open(ours / path.name))) for path in peer.glob("*.png")
        ]
        alike = float(np.mean([(one == other).mean() for one, other in pairs]))
        line = f"{contest.title}: {alike:.4%} of the pixels of {ours.name} agree with the peer (≥ {SAME_PIXELS:.2%})"
        good = alike >= SAME_PIXELS
    else:
        one, other = _table(peer), _table(ours)
        difference = max(abs(one[name] - other[name]).max() for name in one)
        line = f"{contest.title}: probabilities of {ours.name} differ by {difference:.0e} (limit {SAME:.0e})"
        good = bool(difference <= SAME)
    if not good:
        raise SystemExit(f"{line}: the predictions do not agree, so nothing is timed")
    return line


def _table(folder: Path) -> dict[str, NDArray[np.float64]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: np.array([float(row[name]) for name in CLASSES]) for row in csv.DictReader(file)}


def _pairs(title: str, rates: dict[str, tuple[float, ...]], *, number: int = 0) -> Iterator[Pair]:
    """Yield a row for each side except the first, which is the peer."""
    (peer, theirs), *others = rates.items()
    for side, ours in others:
        yield Pair(f"{title}: {side}", peer, "images/s", ours, theirs, number=number)


if __name__ == "__main__":
    main()
