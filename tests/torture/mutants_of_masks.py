"""Damaged masks: files beside images, exports of CVAT and 3D Slicer, masks within the JSON of annotation tools."""

import base64
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from damage import Mutant, damaged_bytes, damaged_json, damaged_text, write_text

SIDE = 32
"""Height and width of the images of the data set `data`."""
COLOURS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nlesion:250,50,83::\n"


def cvat(base: Path, here: Path, rng: random.Random) -> Mutant:
    """An export of CVAT as "Segmentation mask 1.1"."""
    from PIL import Image

    folder = here / "cvat"
    (folder / "SegmentationClass").mkdir(parents=True)
    pixels = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    pixels[5:20, 8:25] = (250, 50, 83)
    mask, names = folder / "SegmentationClass" / "lesion_0000.png", folder / "labelmap.txt"
    Image.fromarray(pixels).save(mask)
    write_text(names, COLOURS)
    if rng.random() < 0.5:
        what = _damage(mask, rng)
    else:
        text, what = damaged_text(COLOURS.replace(":", ": ") if rng.random() < 0.3 else COLOURS, rng)
        write_text(names, text)
    return Mutant("CVAT", what, _merged(base, here, folder))


def slicer(base: Path, here: Path, rng: random.Random) -> Mutant:
    """A segmentation of 3D Slicer, merged into the slices of its volume."""
    import nrrd

    shutil.copytree(base / "imported", here / "set")
    scan = sorted((base / "scans" / "images").iterdir())[0].name.partition(".")[0]
    file = here / f"{scan}.seg.nrrd"
    drawn = np.zeros((SIDE, SIDE, 2), dtype=np.uint8)
    drawn[4:9, 4:9] = 1
    nrrd.write(str(file), drawn, {
        "space": "left-posterior-superior", "space directions": np.eye(3), "space origin": np.zeros(3),
        "Segment0_LabelValue": "1", "Segment0_Layer": "0", "Segment0_Name": "lesion", "Segment0_ID": "a",
    })  # fmt: skip
    what = _damage(file, rng)
    return Mutant("3D Slicer", what, ("data", "merge", str(here / "set"), str(file), "--replace"))


def drawn(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Masks within JSON: a PNG of LabelMe or of a bitmask, the runs of a brush of Label Studio."""
    from s4mi.data.annotations.label_studio_rle import encode_brush

    kind = rng.choice(("LabelMe mask", "brush", "bitmask"))
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[5:20, 8:25] = True
    contents: Any
    if kind == "LabelMe mask":
        png = _encoded(_png(mask[5:20, 8:25].astype(np.uint8)), rng)
        shape = {"label": "lesion", "points": [[8, 5], [24, 19]], "shape_type": "mask", "flags": {}, "mask": png}
        contents = {"version": "5.4", "flags": {}, "shapes": [shape], "imagePath": "lesion_0000.png",
                    "imageHeight": SIDE, "imageWidth": SIDE}  # fmt: skip
    else:
        value: dict[str, Any]
        if kind == "brush":
            runs = bytes(encode_brush(mask))
            value = {"format": "rle", "rle": list(damaged_bytes(runs, rng)[0]), "brushlabels": ["lesion"]}
        else:
            rgba = np.zeros((SIDE, SIDE, 4), dtype=np.uint8)
            rgba[mask] = 255
            png = _encoded(_png(rgba), rng)
            value = {"imageDataURL": f"data:image/png;base64,{png}", "bitmasklabels": ["lesion"]}
        result = {"id": "a", "from_name": "b", "to_name": "image", "type": next(reversed(value)), "value": value,
                  "original_width": SIDE, "original_height": SIDE, "image_rotation": 0}  # fmt: skip
        contents = [{"id": 1, "data": {"id": "lesion_0000"}, "annotations": [{"id": 1, "result": [result]}]}]
    text, what = json.dumps(contents, indent=1), "pixels"
    if rng.random() < 0.3:
        text, what = damaged_json(text, rng)
    file = here / "lesion_0000.json"
    write_text(file, text)
    return Mutant(kind, what, _merged(base, here, file))


def files(base: Path, here: Path, rng: random.Random) -> Mutant:
    """Masks beside images, of every format, when they are imported and when a data set is read."""
    import nibabel
    import tifffile
    from PIL import Image

    if rng.random() < 0.4:
        data = Path(shutil.copytree(base / "data", here / "data"))
        what = _damage(data / "masks" / rng.choice(sorted(path.name for path in (data / "masks").iterdir())), rng)
        words = rng.choice((
            ("data", "check", str(data)),
            ("train", str(base / "seg.yaml"), "-o", str(here / "run"), f"data.path={data}", "epochs=1",
             f"data.cache={here / 'cache'}"),
            ("evaluate", str(base / "seg"), "--on", str(data)),
        ))  # fmt: skip
        return Mutant("mask .png", what, words)
    ending = rng.choice(("png", "tif", "npy", "nii.gz", "gif"))
    (here / "source" / "images").mkdir(parents=True)
    (here / "source" / "masks").mkdir()
    pixels, mask = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE), np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[3:9, 4:12] = 1
    for name in ("a", "b"):
        image, file = (here / "source" / folder / f"{name}.{ending}" for folder in ("images", "masks"))
        if ending == "nii.gz":
            nibabel.save(nibabel.Nifti1Image(np.dstack([pixels, pixels]), np.eye(4)), image)
            nibabel.save(nibabel.Nifti1Image(np.dstack([mask, mask]), np.eye(4)), file)
            continue
        for path, values in ((image, pixels), (file, mask)):
            if ending == "npy":
                np.save(path, values)
            elif ending == "tif":
                tifffile.imwrite(path, values, compression="zlib")
            else:
                Image.fromarray(values).save(path)
    what = _damage(here / "source" / "masks" / f"a.{ending}", rng)
    return Mutant(f"mask .{ending}", what, ("data", "import", "pairs", str(here / "source"), "-o", str(here / "set")))


def series(base: Path, here: Path, rng: random.Random) -> Mutant:
    """A series of DICOM files of patients, with a key of pseudonyms in the data set."""
    from dicom_files import write_dicom

    (here / "source").mkdir()
    for number in range(4):
        pixels = np.arange(16 * 20, dtype=np.uint16).reshape(16, 20) + number
        write_dicom(here / "source" / f"{number}.dcm", pixels, PatientID=f"p{number // 2}", Modality="MR",
                    SeriesInstanceUID=f"1.2.{number // 2}", StudyInstanceUID="1.2", InstanceNumber=number,
                    ImagePositionPatient=[0, 0, number], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                    PixelSpacing=[1, 1], WindowWidth=300, WindowCenter=150)  # fmt: skip
    imported = ("data", "import", "folder", str(here / "source"), "-o", str(here / "set"))
    words = rng.choice((("data", "check", str(here / "source")), imported, imported))
    if rng.random() < 0.3 and words == imported:
        (here / "set").mkdir()
        write_text(here / "set" / ".pseudonym_key", "ab" * 32)
        return Mutant("key of pseudonyms", _damage(here / "set" / ".pseudonym_key", rng), words)
    return Mutant("DICOM series", _damage(here / "source" / f"{rng.randrange(4)}.dcm", rng), words)


def _merged(base: Path, here: Path, source: Path) -> tuple[str, ...]:
    shutil.copytree(base / "data", here / "set")
    return ("data", "merge", str(here / "set"), str(source), "--replace")


def _damage(file: Path, rng: random.Random) -> str:
    contents, what = damaged_bytes(file.read_bytes(), rng)
    file.write_bytes(contents)
    return f"{file.name} {what}"


def _png(pixels: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _encoded(png: bytes, rng: random.Random) -> str:
    """Encode a damaged PNG, or damage its encoding."""
    if rng.random() < 0.8:
        return base64.b64encode(damaged_bytes(png, rng)[0]).decode()
    return damaged_bytes(base64.b64encode(png), rng)[0].decode("latin-1")


MAKERS: tuple[tuple[Callable[[Path, Path, random.Random], Mutant], int], ...] = (
    (cvat, 1), (slicer, 1), (drawn, 2), (files, 2), (series, 1),
)  # fmt: skip
