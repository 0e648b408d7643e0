"""The commands that are disturbed, each in a folder of its own, and what they leave when nothing disturbs them."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HIDDEN_STATE = re.compile(r"\.s4mi-.*|\.writing-.*|.*\.(part|new|lock|guard)|.*\.building-\d+|\.adding-.*|.*-journal")
"""Names of files that only an unfinished command has."""
VOLATILE = {
    "seconds", "images_per_second", "peak_memory_mib", "started", "finished", "energy_wh", "git_revision", "when",
    "created", "estimate", "attempts", "cost", "version", "written", "computed",
}  # fmt: skip
"""Fields of records that hold times."""
TEXT = (".csv", ".json", ".jsonl", ".yaml", ".md", ".html", ".svg")
UNCOMPARED = (".pt", ".pt2", ".onnx", ".html", ".md", ".sqlite", ".svg", ".log", ".tex")
"""Files that hold times or random identifiers: only their presence is compared."""
UNCOMPARED_NAMES = ("events.jsonl", "metrics.csv", "info.json", ".pseudonym_key", ".import.jsonl")


@dataclass(frozen=True)
class Scene:
    """A command.

    Attributes:
        name: of the command, as in `s4mi --help`.
        arguments: its words, with {base} for what is prepared once and {here} for its own folder.
        again: the words with which a user goes on after a kill.
        outputs: what it writes, below its own folder.
        copies: parts of the base that it changes, copied into its own folder first.
    """

    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    again: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()

    def words(self, base: Path, here: Path, *, again: bool = False) -> list[str]:
        chosen = self.again if again and self.again else self.arguments
        return [word.format(base=base, here=here) for word in chosen]

    def prepare(self, base: Path, here: Path) -> None:
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        for name in self.copies:
            shutil.copytree(base / name, here / name, symlinks=True)


SCENES = (
    Scene("train", ("train", "{base}/cls.yaml", "-o", "{here}/run", "data.cache={here}/cache"), ("run", "cache"),
          again=("train", "{base}/cls.yaml", "-o", "{here}/run", "data.cache={here}/cache", "--resume")),
    Scene("train (fitted)", ("train", "{base}/fit.yaml", "-o", "{here}/run"), ("run",),
          again=("train", "{base}/fit.yaml", "-o", "{here}/run", "--resume")),
    Scene("evaluate", ("evaluate", "{here}/cls"), ("cls",), copies=("cls",)),
    Scene("calibrate", ("calibrate", "{here}/cls"), ("cls",), copies=("cls",)),
    Scene("predict", ("predict", "{base}/seg", "{base}/data/images", "-o", "{here}/out", "--overlay"), ("out",),
          again=("predict", "{base}/seg", "{base}/data/images", "-o", "{here}/out", "--overlay", "--resume")),
    Scene("predict (classes)", ("predict", "{base}/cls", "{base}/data", "-o", "{here}/out"), ("out",),
          again=("predict", "{base}/cls", "{base}/data", "-o", "{here}/out", "--resume")),
    Scene("export", ("export", "{base}/cls", "-o", "{here}/m.onnx"), ("m.onnx", "MODEL_CARD.md"),
          again=("export", "{base}/cls", "-o", "{here}/m.onnx", "--overwrite")),
    Scene("suggest", ("suggest", "{base}/cls", "{base}/fresh", "-n", "4", "-o", "{here}/next.csv"), ("",)),
    Scene("explain", ("explain", "{base}/cls", "{base}/data", "-o", "{here}/maps", "--limit", "3"), ("maps",)),
    Scene("embed", ("embed", "{base}/cls", "{base}/data", "-o", "{here}/features.parquet"), ("",)),
    Scene("compare", ("compare", "{base}/seg", "-o", "{here}/sheet.png"), ("sheet.png",)),
    Scene("report", ("report", "{base}/runs", "-o", "{here}/report.html", "--no-sheets"), ("report.html",)),
    Scene("data import folder", ("data", "import", "folder", "{base}/photos", "-o", "{here}/set", "--copy"), ("set",)),
    Scene("data import pairs", ("data", "import", "pairs", "{base}/scans", "-o", "{here}/set"), ("set",)),
    Scene("data split", ("data", "split", "{base}/data", "-o", "{here}/split.json"), ("split.json",)),
    Scene("data check", ("data", "check", "{base}/data"), ()),
    Scene("data merge", ("data", "merge", "{here}/open", "{base}/labels.csv"), ("open",), copies=("open",)),
    Scene("data erase", ("data", "erase", "{here}/data", "patient_0003", "--yes", "--runs", "{here}/cls",
                          "--cache", "{here}/cache"), ("data", "cls", "cache"), copies=("data", "cls", "cache")),
    Scene("study run", ("study", "run", "{base}/study.yaml", "-o", "{here}/study", "--workers", "0",
                         "data.cache={here}/cache"), ("study",)),
)  # fmt: skip


@dataclass
class Left:
    """What a command left: a digest of every file that must be the same each time, and names of unfinished files."""

    files: dict[str, str] = field(default_factory=dict)
    litter: list[str] = field(default_factory=list)

    def differences(self, other: "Left") -> list[str]:
        names = sorted(self.files.keys() | other.files.keys())
        return [name for name in names if self.files.get(name) != other.files.get(name)]


def look(here: Path, outputs: tuple[str, ...]) -> Left:
    """Read what is in a folder."""
    left = Left()
    for output in outputs:
        root = here / output
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            name = path.relative_to(here).as_posix()
            name = re.sub(r"sheets/(\w+)-[0-9a-f]+", r"sheets/\1", name)
            if HIDDEN_STATE.fullmatch(path.name):
                left.litter.append(name)
            elif path.is_file():
                left.files[name] = _digest(path, here)
    return left


def _digest(path: Path, here: Path) -> str:
    if path.parent.name == "sheets":  # named by the hash of runs, which hold times
        return "present"
    if path.suffix in UNCOMPARED or path.name in UNCOMPARED_NAMES:
        return "present"
    contents = path.read_bytes().replace(str(here).encode(), b"HERE")
    if path.suffix in (".json", ".jsonl"):
        documents = contents.splitlines() if path.suffix == ".jsonl" else [contents]
        contents = json.dumps([_settled(json.loads(one)) for one in documents], sort_keys=True).encode()
    return hashlib.blake2b(contents, digest_size=8).hexdigest()


def _settled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _settled(inner) for key, inner in value.items() if key not in VOLATILE}
    return [_settled(one) for one in value] if isinstance(value, list) else value


def make_data(folder: Path) -> None:
    """Prepare the data sets and settings that the commands read."""
    import cv2
    import numpy as np

    from s4mi.data.manifest import load_manifest
    from s4mi.data.sources.synthetic import write_synthetic

    folder.mkdir(parents=True, exist_ok=True)
    write_synthetic("lesions", folder / "data", count=24, size=32, seed=1)
    rows = load_manifest(folder / "data").rows
    for row in rows:
        target = folder / "photos" / (row.labels or ("x",))[0] / row.image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(row.image, target)
        for name, source in (("images", row.image), ("masks", row.mask)):
            target = folder / "scans" / name / f"{row.id}.npy"
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
            np.save(target, np.stack([pixels, pixels]))
    shutil.copytree(folder / "data", folder / "open")
    write_synthetic("lesions", folder / "fresh", count=12, size=32, seed=9)
    lines = (folder / "fresh" / "manifest.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    (folder / "fresh" / "manifest.csv").write_text(
        "\n".join([lines[0], *(",".join([*row[:3], "", *row[4:]]) for row in cells)]) + "\n"
    )
    table = (folder / "open" / "manifest.csv").read_text().splitlines()
    blank = [line.split(",") for line in table[1:9]]
    labels = [(cells[0], cells[3]) for cells in blank]
    for cells in blank:
        cells[3] = ""
    (folder / "open" / "manifest.csv").write_text("\n".join([table[0], *map(",".join, blank), *table[9:]]) + "\n")
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{name},{label}\n" for name, label in labels))
    common = {
        "data": {"path": str(folder / "data"), "image_size": 64, "cache": str(folder / "cache")},
        "batch_size": 8,
        "epochs": 2,
        "optim": {"lr": 1e-3},
        "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0, "threads": 1},
    }
    network = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
    decoder = {"name": "dedl", "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8]}
    files = {
        "cls": {**common, "method": network},
        "seg": {**common, "method": decoder},
        "fit": {**common, "method": {"name": "classical"}},
        "study": {
            "data": common["data"], "seeds": [0, 1], "label_fractions": [100],
            "arms": [{"name": "cls", "method": network, "epochs": 1, "batch_size": 8}],
        },
    }  # fmt: skip
    for name, contents in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(contents))


def make_runs(folder: Path, run: Callable[..., object]) -> None:
    """Prepare the trained runs and models that the commands read; `run` runs a command line."""
    for name in ("cls", "seg"):
        run("train", folder / f"{name}.yaml", "-o", folder / name)
        shutil.copytree(folder / name, folder / "runs" / name)
    for name, ending in (("cls", "onnx"), ("seg", "onnx"), ("cls", "pt2")):
        run("export", folder / name, "-o", folder / f"{name}.{ending}", "--overwrite")
