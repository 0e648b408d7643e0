"""Damaged annotations, arrays, layouts, segmentations, pages in bands, and files that commands keep."""

import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from damage import Mutant, damaged_bytes, damaged_image, damaged_json, damaged_text, write_text

LARGE_IN_TESTS = 200
"""Pixels above which a page is read in bands, for images of tests."""


def annotations(base: Path, here: Path, rng: random.Random) -> Mutant:
    """The JSON of annotation tools, and tables of labels."""
    shutil.copytree(base / "data", here / "set")
    kind = rng.choice(("LabelMe", "QuPath", "Label Studio", "labels"))
    corners = [[2.0, 2.0], [20.0, 3.0], [11.0, 25.0]]
    contents: Any
    if kind == "LabelMe":
        shape = {"label": "lesion", "points": corners, "shape_type": "polygon", "flags": {}}
        contents = {"version": "5.4", "flags": {}, "shapes": [shape], "imagePath": "lesion_0000.png",
                    "imageHeight": 32, "imageWidth": 32}  # fmt: skip
    elif kind == "QuPath":
        geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        properties = {"objectType": "annotation", "classification": {"name": "lesion", "color": [1, 2, 3]}}
        contents = {"type": "FeatureCollection", "features": [
            {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}]}  # fmt: skip
    elif kind == "Label Studio":
        value = {"points": [[10, 10], [60, 12], [30, 80]], "polygonlabels": ["lesion"], "closed": True}
        result = {"id": "a", "from_name": "polygon", "to_name": "image", "type": "polygonlabels", "value": value,
                  "original_width": 32, "original_height": 32, "image_rotation": 0}  # fmt: skip
        contents = [{"id": 1, "data": {"id": "lesion_0000", "image": "/data/lesion_0000.png"},
                     "annotations": [{"id": 1, "result": [result], "was_cancelled": False}]}]  # fmt: skip
    if kind == "labels":
        file = here / "labels.csv"
        text, what = damaged_text((base / "labels.csv").read_text(), rng)
    else:
        file = here / ("lesion_0000.geojson" if kind == "QuPath" else "lesion_0000.json")
        text, what = damaged_json(json.dumps(contents, indent=1), rng)
    write_text(file, text)
    return Mutant(kind, what, ("data", "merge", str(here / "set"), str(file), "--replace"))


def arrays(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Arrays of images: `.npz`, `.npy`, HDF5."""
    kind = rng.choice(("npz", "npz", "npy", "h5", "medmnist"))
    folder = here / "arrays"
    folder.mkdir()
    if kind == "npz":
        file = folder / "set.npz"
        shutil.copyfile(base / "layouts" / "arrays" / "set.npz", file)
    elif kind == "medmnist":
        file = folder / "pneumoniamnist.npz"
        shutil.copyfile(base / "layouts" / "medmnist" / "pneumoniamnist.npz", file)
    elif kind == "npy":
        file = folder / "images.npy"
        np.save(file, np.arange(3 * 16 * 16, dtype=np.uint8).reshape(3, 16, 16))
    else:
        import h5py

        file = folder / "set.h5"
        with h5py.File(file, "w") as made:
            made["images"] = np.arange(4 * 12 * 12, dtype=np.uint8).reshape(4, 12, 12)
            made["labels"] = np.array([0, 1, 1, 0])
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    reader = "medmnist" if kind == "medmnist" else "arrays"
    return Mutant(f"arrays .{kind}", what, ("data", "import", reader, str(folder), "-o", str(here / "set")))


def layouts(base: Path, here: Path, rng: random.Random) -> Mutant:
    """The descriptions of nnU-Net, tables of ISIC, archives of Dermofit, stacks of stains."""
    kind = rng.choice(("nnU-Net", "nnU-Net", "ISIC", "zip", "stack"))
    if kind == "nnU-Net":
        folder = Path(shutil.copytree(base / "layouts" / "nnunet", here / "source"))
        file = folder / rng.choice(("dataset.json", "splits_final.json"))
        text, what = damaged_json(json.dumps(json.loads(file.read_text()), indent=1), rng)
        write_text(file, text)
        words = ("data", "import", "nnunet", str(folder), "--channel", "T2", "--fold", "0")
    elif kind == "ISIC":
        folder = Path(shutil.copytree(base / "layouts" / "isic2017", here / "source"))
        file = folder / "ISIC-2017_Training_Part3_GroundTruth.csv"
        text, what = damaged_text(file.read_text(), rng)
        write_text(file, text)
        words = ("data", "import", "isic2017", str(folder))
    elif kind == "zip":
        (here / "source").mkdir()
        file = here / "source" / "AK.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for path in sorted((base / "layouts" / "dermofit" / "AK").rglob("*.png")):
                archive.write(path, path.relative_to(base / "layouts" / "dermofit"))
        contents, what = damaged_bytes(file.read_bytes(), rng)
        file.write_bytes(contents)
        words = ("data", "import", "dermofit", str(here / "source"))
    else:
        folder = Path(shutil.copytree(base / "layouts" / "stacks", here / "source"))
        file = folder / "P0_s0.tif"
        contents, what = damaged_bytes(file.read_bytes(), rng)
        file.write_bytes(contents)
        words = ("data", "import", "dermatomyositis", str(folder), "--labels", str(folder / "labels.csv"))
    return Mutant(kind, what, (*words, "-o", str(here / "set")))


def banded(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Pages that are read in bands, of every kind of TIFF, with a sound one beside them."""
    folder, source, what = damaged_image(base / "pages", base, here, rng)
    words = rng.choice((
        ("predict", str(base / "cls"), str(folder), "-o", str(here / "out")),
        ("predict", str(base / "seg"), str(folder), "-o", str(here / "out"), "--overlay"),
        ("explain", str(base / "cls"), str(folder), "-o", str(here / "out"), "--no-sanity", "--method",
         "input_gradient"),
        ("data", "check", str(folder)),
    ))  # fmt: skip
    return Mutant("TIFF in bands", f"{source.name} {what}", words, large=LARGE_IN_TESTS)


def segmentations(base: Path, here: Path, rng: random.Random) -> Mutant:
    """DICOM segmentations with their image."""
    for name in ("images", "masks"):
        shutil.copytree(base / "segmented" / name, here / "source" / name)
    file = here / "source" / "masks" / "a.dcm"
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    return Mutant("DICOM-SEG", what, ("data", "import", "pairs", str(here / "source"), "-o", str(here / "set")))


def kept(base: Path, here: Path, rng: random.Random) -> Mutant:
    """What commands keep to go on: of predictions, imports, splits, studies and caches."""
    kind = rng.choice(("predict.json", "measurements.csv", ".import.jsonl", "split.json", "study.json", "cache",
                       "erased.csv"))  # fmt: skip
    if kind in ("predict.json", "measurements.csv"):
        out = Path(shutil.copytree(base / "predicted", here / "out"))
        file = out / kind
        words = ("predict", str(base / "seg"), str(base / "data" / "images"), "-o", str(out), "--resume")
    elif kind == ".import.jsonl":
        out = Path(shutil.copytree(base / "imported", here / "set"))
        (out / "dataset.yaml").unlink()
        file = out / kind
        words = ("data", "import", "pairs", str(base / "scans"), "-o", str(out))
    elif kind == "split.json":
        file = here / kind
        shutil.copyfile(base / "cls" / kind, file)
        words = ("data", "split", str(base / "data"), "--file", str(file))
    elif kind == "erased.csv":
        out = Path(shutil.copytree(base / "data", here / "set"))
        file = out / kind
        file.write_text(f"version,after,patient,label,mask,foreground,split\n1,lesion_0003,1,,,{rng.random()},\n")
        words = ("data", "split", str(out), "--task", "segmentation", "--allow-leakage", "--cache", str(here / "cache"))
    elif kind == "study.json":
        out = Path(shutil.copytree(base / "studied", here / "study"))
        file = out / kind
        words = rng.choice((("study", "plan", str(base / "study.yaml"), "-o", str(out)),
                            ("report", str(out), "-o", str(here / "r.html"), "--no-sheets")))  # fmt: skip
    else:
        cache = Path(shutil.copytree(base / "cache", here / "cache"))
        file = rng.choice([path for path in sorted(cache.rglob("*")) if path.is_file()])
        words = ("train", str(base / "quick.yaml"), "-o", str(here / "run"), f"data.cache={cache}")
    if file.suffix in (".json", ".csv", ".jsonl") and rng.random() < 0.7:
        damage = damaged_json if file.suffix == ".json" else damaged_text
        text, what = damage(file.read_text(), rng)
        write_text(file, text)
    else:
        contents, what = damaged_bytes(file.read_bytes(), rng)
        file.write_bytes(contents)
    return Mutant(f"kept {kind}", f"{file.name} {what}", words)


MAKERS: tuple[tuple[Callable[[Path, Path, random.Random], Mutant], int], ...] = (
    (annotations, 4), (arrays, 3), (layouts, 3), (banded, 6), (segmentations, 1), (kept, 4),
)  # fmt: skip
