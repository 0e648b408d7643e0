"""Damaged starting weights, and what runs, studies and simulations leave for later commands."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from damage import Mutant, damaged_bytes, damaged_json, damaged_text, write_text

KEPT = (
    ("cls", "training_features.npz"), ("cls", "checkpoints/best.safetensors"), ("cls", "test_predictions.csv"),
    ("cls", "metrics.csv"), ("elsewhere", "external"), ("pretrained", "record.json"),
    ("pretrained", "feature_map.json"),
    ("pretrained", "checkpoints/last.safetensors"), ("pretrained", "encoders"), ("pretrained", "features.json"),
    ("pretrained", "first_look.json"), ("pretrained", "seen.txt"), ("studied", "study_run.json"),
    ("studied", "failure.json"),
    ("simulated", "simulation.csv"), ("simulated", "simulation.json"), ("fitted", "checkpoints/best.safetensors"),
)  # fmt: skip
"""Folders, and files in them that a later command reads."""
FAILURE = '{\n "reason": "out of memory",\n "attempts": 2,\n "when": "2026-01-01T00:00:00+00:00"\n}\n'


def weights(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Weight files to start from: safetensors, and pickles of PyTorch, also with objects that would run code."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(base / "pretrained" / "checkpoints" / "last.safetensors")
    suffix, refused = rng.choice(("safetensors", "pth", "pth", "pt")), False
    file = here / f"w.{suffix}"
    if suffix == "safetensors":
        shutil.copyfile(base / "pretrained" / "checkpoints" / "last.safetensors", file)
    else:
        held: object = {"state_dict": tensors, "epoch": 3}
        kind = rng.choice(("sound", "sound", "evil", "nested", "values", "list"))
        if kind == "evil":
            held, refused = {"state_dict": tensors, "hook": _Evil()}, True
        elif kind == "nested":
            for _ in range(rng.choice((3, 150))):
                held = {"model": held}
        elif kind == "values":
            held = {"state_dict": {name: rng.choice((tensor, 1, None, "x")) for name, tensor in tensors.items()}}
        elif kind == "list":
            held = list(tensors.values())
        torch.save(held, file)
        if kind != "sound":
            return Mutant(f"weights .{suffix}", kind, _trained(base, here, file), refused)
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    return Mutant(f"weights .{suffix}", what, _trained(base, here, file))


class _Evil:
    """Unpickled, it would write a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os

        return os.system, ("touch evil",)


def _trained(base: Path, here: Path, file: Path) -> tuple[str, ...]:
    return ("train", str(base / "quick.yaml"), "-o", str(here / "run"), f"method.weights={file}",
            f"data.cache={here / 'cache'}")  # fmt: skip


def kept(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Files of runs, studies and simulations."""
    folder, name = rng.choice(KEPT)
    out = Path(shutil.copytree(base / folder, here / "out"))
    run = next(iter(sorted((out / "runs").iterdir()))) if folder == "studied" else out
    if name in ("external", "encoders"):
        files = [path for path in sorted((out / name).rglob("*")) if path.is_file()]
    elif folder == "simulated":
        lists = [path for path in sorted(out.rglob("*.json")) if path.name in ("chosen.json", "split.json")]
        files = [out / "simulation.csv", out / "simulation.json", *lists]
    else:
        files = [run / name]
    if name == "failure.json":
        write_text(run / name, FAILURE)
        (run / "record.json").unlink()
    file = rng.choice(files)
    if file.suffix in (".json", ".csv") and rng.random() < 0.7:
        text, what = (damaged_json if file.suffix == ".json" else damaged_text)(file.read_text(), rng)
        write_text(file, text)
    else:
        contents, what = damaged_bytes(file.read_bytes(), rng)
        file.write_bytes(contents)
    image, report = str(base / "data" / "images" / "lesion_0000.png"), str(here / "r.html")
    reports = ("report", str(out), "-o", report, "--no-sheets")
    words: tuple[tuple[str, ...], ...] = (reports,)
    if folder in ("cls", "fitted", "elsewhere"):
        words = (("predict", str(out), image, "-o", str(here / "out2")), reports)
        if name in ("test_predictions.csv", "external"):
            words = (reports, ("data", "erase", str(base / "data"), "patient_0003", "--runs", str(out)))
    elif folder == "pretrained":
        words = (reports, ("embed", str(out), str(base / "data"), "-o", str(here / "f.parquet")),
                 ("train", str(base / "quick.yaml"), "-o", str(here / "run"), f"method.pretrained={out}",
                  f"data.cache={here / 'cache'}"))  # fmt: skip
    elif folder == "studied":
        words = (reports, ("study", "plan", str(base / "study.yaml"), "-o", str(out)))
    elif folder == "simulated":
        words = (("simulate", str(base / "quick.yaml"), "-o", str(out), "--strategies", "random", "--seeds", "0",
                  "--rounds", "1", "-n", "4"), reports)  # fmt: skip
    return Mutant(f"kept {folder}", f"{file.name} {what}", rng.choice(words))


def stored(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Stored features and descriptions of images in a cache, and lists of suggestions."""
    if rng.random() < 0.3:
        data = Path(shutil.copytree(base / "data", here / "data"))
        (here / "lists").mkdir()
        file = here / "lists" / "next.csv"
        text, what = damaged_text((base / "next.csv").read_text(), rng)
        write_text(file, text)
        words = ("data", "erase", str(data), "patient_0003", "--yes", "--runs", str(here / "lists"), "--cache",
                 str(here / "cache"))  # fmt: skip
        return Mutant("list of suggestions", what, words)
    cache = Path(shutil.copytree(base / "cache", here / "cache"))
    features, others = (
        [path for path in sorted(cache.rglob("*")) if path.is_file() and ("features" in path.parts) is wanted]
        for wanted in (True, False)
    )
    file = rng.choice(features if rng.random() < 0.6 else others)
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    words = ("train", str(base / "fit.yaml"), "-o", str(here / "run"), f"data.cache={cache}")
    if file not in features and rng.random() < 0.7:
        words = ("data", "split", str(base / "data"), "-o", str(here / "split.json"), "--cache", str(cache))
        if rng.random() < 0.4:
            data = shutil.copytree(base / "data", here / "data")
            words = ("data", "erase", str(data), "patient_0003", "--yes", "--cache", str(cache))
    return Mutant("stored features" if file in features else "stored images", f"{file.name} {what}", words)


MAKERS: tuple[tuple[Callable[[Path, Path, random.Random], Mutant], int], ...] = (
    (weights, 3), (kept, 4), (stored, 2),
)  # fmt: skip
