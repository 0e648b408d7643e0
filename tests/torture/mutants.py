"""Damaged and malicious inputs of every kind that s4mi reads, made from sound ones by seed."""

import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import mutants_of_data
import mutants_of_masks
import mutants_of_runs
import mutants_of_tables
import mutants_of_views
import numpy as np
from damage import WORDS, Mutant, damaged_bytes, damaged_image, damaged_json, damaged_text, write_text

Maker = Callable[[Path, Path, random.Random], Mutant]


def _settings(base: Path, here: Path, rng: random.Random) -> Mutant:
    name = rng.choice(("cls", "seg", "fit", "study"))
    text, what = damaged_text((base / f"{name}.yaml").read_text(), rng)
    text = text.replace(str(base / "data"), str(here / "nothing"))
    write_text(here / "run.yaml", text)
    words = ("study", "plan", str(here / "run.yaml")) if name == "study" else (
        "train", str(here / "run.yaml"), "-o", str(here / "run"))  # fmt: skip
    return Mutant("settings", what, words)


def _words(base: Path, here: Path, rng: random.Random) -> Mutant:
    # Not "/": folders are searched, and a whole disk takes as long as it takes.
    usable = [one for one in WORDS if "\x00" not in one and "\ud800" not in one and one != "/"]
    word, data = rng.choice(usable), str(base / "data")
    run, out = str(base / "cls.yaml"), str(here / "x")
    key = rng.choice(("optim.lr", "epochs", "batch_size", "seed", "data.image_size", "split.ratios", "label_fraction",
                      "method.backbone", "data.tile", "split.folds", "data.path", "select", "steps"))  # fmt: skip
    options = (
        ("train", run, f"{key}={word}", f"data.path={here}/none", "-o", out),
        ("data", "split", data, f"--ratios={word}"),
        ("data", "split", data, f"--fractions={word}"),
        ("data", "split", data, "--kind", "kfold", f"--folds={word}"),
        ("data", "split", data, "-o", f"{here}/{word}"),
        ("data", "check", word),
        ("predict", word, data, "-o", out),
        ("predict", str(base / "cls"), word, "-o", out),
        ("predict", str(base / "cls"), data, "-o", out, f"--overlap={word}"),
        ("report", word, "-o", f"{out}.html"),
        ("report", str(base / "runs"), "-o", word + ".html", "--no-sheets"),
        ("data", "import", "folder", word, "-o", out),
        ("data", "import", "table", str(base / "labels.csv"), "-o", out, f"--group={word}"),
        ("data", "merge", data, word),
        ("evaluate", word),
        ("export", str(base / "cls"), "-o", f"{here}/{word}"),
    )
    words = rng.choice(options)
    refused = words[-1] == "--ratios=nan,nan,nan" or words[-1] in ("--ratios=1,2", "--folds=9999999")
    return Mutant("words", f"{words[0]} {word[:20]!r}", words, refused=refused)


def _data_set(base: Path, here: Path) -> Path:
    folder = here / "data"
    folder.mkdir()
    for name in ("images", "masks"):
        (folder / name).symlink_to(base / "data" / name)
    for name in ("manifest.csv", "dataset.yaml"):
        shutil.copyfile(base / "data" / name, folder / name)
    return folder


def _manifest(base: Path, here: Path, rng: random.Random) -> Mutant:
    folder = _data_set(base, here)
    file = rng.choice(("manifest.csv", "dataset.yaml"))
    if rng.random() < 0.3:
        contents, what = damaged_bytes((folder / file).read_bytes(), rng)
        (folder / file).write_bytes(contents)
    else:
        text, what = damaged_text((folder / file).read_text(), rng)
        write_text(folder / file, text)
    words = rng.choice((("data", "split", str(folder)), ("data", "check", str(folder))))
    return Mutant(file, what, words)


def _coco(base: Path, here: Path, rng: random.Random) -> Mutant:
    import pycocotools.mask

    mask = np.zeros((32, 32), dtype=np.uint8, order="F")
    mask[5:20, 8:25] = 1
    runs = pycocotools.mask.encode(mask)
    counts: object = runs["counts"].decode()
    refused = False
    kind = rng.choice(("short", "long", "text", "numbers", "polygon", "polygon"))
    if kind in ("short", "long"):
        refused = True
        text = str(counts)
        counts = text[: rng.randrange(1, len(text) - 1)] if kind == "short" else text + "31"
    shape: object = {"size": [32, 32], "counts": counts}
    if kind == "numbers":
        shape, refused = {"size": [32, 32], "counts": [rng.randrange(400), 300, 100]}, True
    if kind == "polygon":
        shape = [[1, 1, 20, 1, 20, rng.randrange(10, 30)]]
    contents = {
        "images": [{"id": 1, "file_name": "images/lesion_0000.png", "height": 32, "width": 32}],
        "categories": [{"id": 1, "name": "lesion"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": shape, "bbox": [1, 1, 20, 20]}],
    }
    text, what = json.dumps(contents, indent=1), kind
    if not refused:
        text, what = damaged_json(text, rng)
    write_text(here / "coco.json", text)
    shutil.copytree(base / "data", here / "set")
    return Mutant("COCO", what, ("data", "merge", str(here / "set"), str(here / "coco.json"), "--replace"), refused)


def _run(base: Path, here: Path) -> Path:
    shutil.copytree(base / "cls", here / "run")
    return here / "run"


def _records(base: Path, here: Path, rng: random.Random) -> Mutant:
    run = _run(base, here)
    file = rng.choice(("record.json", "split.json", "data.json", "calibration.json", "metrics.jsonl", "config.yaml",
                       "dataset.yaml", "training_images.json", "test_predictions.csv"))  # fmt: skip
    text, what = (damaged_json if file.endswith("json") else damaged_text)((run / file).read_text(), rng)
    write_text(run / file, text)
    images = str(base / "data" / "images" / "lesion_0000.png")
    words = rng.choice((
        ("predict", str(run), images, "-o", str(here / "out")), ("evaluate", str(run)),
        ("report", str(here), "-o", str(here / "r.html"), "--no-sheets"),
        ("report", str(here), "-o", str(here / "r.html"), "--no-sheets"),
        ("train", str(base / "cls.yaml"), "-o", str(run), "--resume"),
    ))  # fmt: skip
    return Mutant(file, what, words)


def _weights(base: Path, here: Path, rng: random.Random) -> Mutant:
    run = _run(base, here)
    resumes = rng.random() < 0.4
    name = rng.choice(("training.pt", "last.safetensors")) if resumes else "best.safetensors"
    file = run / "checkpoints" / name
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    if resumes:
        (run / "record.json").unlink()
        words = ("train", str(base / "cls.yaml"), "-o", str(run), "--resume")
    else:
        words = ("predict", str(run), str(base / "data" / "images" / "lesion_0000.png"), "-o", str(here / "out"))
    return Mutant(name, what, words)


def _onnx(base: Path, here: Path, rng: random.Random) -> Mutant:
    import onnx

    file, refused = here / "m.onnx", False
    if rng.random() < 0.5:
        contents, what = damaged_bytes((base / "cls.onnx").read_bytes(), rng)
        file.write_bytes(contents)
    else:
        model = onnx.load(str(base / "cls.onnx"))
        if rng.random() < 0.4:
            metadata = json.loads(model.metadata_props[0].value)
            classes = metadata["classes"]
            metadata["classes"] = rng.choice((classes[:-1], [*classes, "more"], [], [classes[0]] * len(classes)))
            model.metadata_props[0].value, what, refused = json.dumps(metadata), "classes", True
        else:
            text, what = damaged_json(json.dumps(json.loads(model.metadata_props[0].value), indent=1), rng)
            # Half of a surrogate pair cannot be written into an ONNX file.
            model.metadata_props[0].value = text.encode("utf-8", "replace").decode("utf-8")
        onnx.save(model, str(file))
    image = str(base / "data" / "images" / "lesion_0000.png")
    return Mutant("ONNX", what, ("predict", str(file), image, "-o", str(here / "out")), refused)


def _program(base: Path, here: Path, rng: random.Random) -> Mutant:
    file, refused = here / "m.pt2", False
    if rng.random() < 0.4:
        contents, what = damaged_bytes((base / "cls.pt2").read_bytes(), rng)
        file.write_bytes(contents)
    else:
        with zipfile.ZipFile(base / "cls.pt2") as old, zipfile.ZipFile(file, "w") as new:
            names = old.namelist()
            chosen = rng.choice([name for name in names if name.endswith(".json")])
            evil = rng.random() < 0.4
            what, refused = f"{chosen} {'evil' if evil else ''}", evil
            for name in names:
                contents = old.read(name)
                if evil and name.endswith("models/model.json"):
                    contents = contents.replace(
                        b"torch.ops.aten.sub.Tensor", rng.choice((b"torch.os.system", b"torch.load"))
                    )
                elif not evil and name == chosen:
                    contents = damaged_json(json.dumps(json.loads(contents), indent=1), rng)[0].encode(
                        "utf-8", "surrogatepass"
                    )
                new.writestr(name, contents)
    image = str(base / "data" / "images" / "lesion_0000.png")
    return Mutant("pt2", what, ("predict", str(file), image, "-o", str(here / "out")), refused)


def _image(base: Path, here: Path, rng: random.Random) -> Mutant:
    folder, source, what = damaged_image(base / "formats", base, here, rng)
    words = rng.choice((
        ("predict", str(base / "cls"), str(folder), "-o", str(here / "out")),
        ("predict", str(base / "seg"), str(folder), "-o", str(here / "out")),
        ("data", "check", str(folder)),
        ("data", "import", "folder", str(folder), "-o", str(here / "set")),
    ))  # fmt: skip
    return Mutant(source.suffix, what, words)


MAKERS: tuple[tuple[Maker, int], ...] = (
    (_settings, 5), (_words, 4), (_manifest, 4), (_coco, 3), (_records, 4), (_weights, 3), (_onnx, 3), (_program, 2),
    (_image, 6), *mutants_of_data.MAKERS, *mutants_of_tables.MAKERS, *mutants_of_masks.MAKERS,
    *mutants_of_runs.MAKERS, *mutants_of_views.MAKERS,
)  # fmt: skip


def mutants(base: Path, folder: Path, *, count: int, seed: int) -> Iterator[Callable[[], Mutant]]:
    """Yield functions that each write a mutant into a folder of its own below `folder`."""
    makers = [maker for maker, weight in MAKERS for _ in range(weight)]
    for number in range(count):
        maker = makers[number % len(makers)]

        def make(maker: Maker = maker, number: int = number) -> Mutant:
            here = folder / f"{number:05d}"
            here.mkdir(parents=True)
            return maker(base, here, random.Random(f"{seed}-{number}"))

        yield make


def make_formats(folder: Path) -> None:
    """Write an image of each format."""
    import nibabel
    import nrrd
    import tifffile
    from PIL import Image

    from dicom_files import write_dicom

    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    volume = rng.integers(0, 900, (20, 24, 3), dtype=np.int16)
    for suffix in ("png", "jpg", "bmp", "webp", "gif"):
        Image.fromarray(colour).save(folder / f"a.{suffix}")
    tifffile.imwrite(folder / "a.tif", colour, tile=(16, 16), compression="zlib")
    planes = volume.transpose(2, 1, 0).astype(np.uint16)
    tifffile.imwrite(folder / "b.tiff", planes, photometric="rgb", planarconfig="separate")
    write_dicom(folder / "a.dcm", volume.transpose(2, 1, 0).astype(np.uint16), PatientID="Miller", WindowWidth=300,
                WindowCenter=150)  # fmt: skip
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), folder / "b.nii")
    nrrd.write(str(folder / "a.nrrd"), volume)
    np.save(folder / "a.npy", colour)
    nrrd.write(str(folder / "a.seg.nrrd"), (volume > 500).astype(np.uint8), {
        "space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3),
        "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Segment0_Name": "tumour", "Segment0_ID": "a",
    })  # fmt: skip
