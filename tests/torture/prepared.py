"""The data sets, layouts, settings, runs and models that the commands read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

DICOM = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT", "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5", "PatientID": "p", "PatientName": "P^Q",
    "PatientBirthDate": "", "PatientSex": "", "StudyDate": "", "StudyTime": "", "AccessionNumber": "", "StudyID": "",
    "ReferringPhysicianName": "", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 0],
    "PixelSpacing": [1, 1], "SliceThickness": 1, "InstanceNumber": 1,
}  # fmt: skip
"""What a DICOM segmentation takes over from its image."""


def make_data(folder: Path) -> None:
    """Prepare the data sets and settings that the commands read."""
    import cv2
    import numpy as np

    from s4mi.data.manifest import load_manifest
    from s4mi.data.sources.synthetic import write_synthetic

    folder.mkdir(parents=True, exist_ok=True)
    write_synthetic("lesions", folder / "data", count=24, size=32, seed=1)
    write_synthetic("lesions", folder / "viewed", count=6, size=48, seed=2)
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
    shutil.copytree(folder / "fresh", folder / "unseen")
    place = lines[0].split(",").index("mask")
    (folder / "unseen" / "manifest.csv").write_text(
        "\n".join([lines[0], *(",".join([*row[:place], "", *row[place + 1 :]]) for row in cells)]) + "\n"
    )
    table = (folder / "open" / "manifest.csv").read_text().splitlines()
    blank = [line.split(",") for line in table[1:9]]
    labels = [(cells[0], cells[3]) for cells in blank]
    for cells in blank:
        cells[3] = ""
    (folder / "open" / "manifest.csv").write_text("\n".join([table[0], *map(",".join, blank), *table[9:]]) + "\n")
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{name},{label}\n" for name, label in labels))
    photos = sorted((folder / "photos").rglob("*.png"))
    (folder / "photos.csv").write_text(
        "image,label\n" + "".join(f"{path.relative_to(folder)},{path.parent.name}\n" for path in photos)
    )
    _make_unmasked(folder)
    _make_pages(folder)
    _make_layouts(folder / "layouts")
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
        "quick": {**common, "epochs": 1, "method": network},
        "simclr": {**common, "method": {"name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16,
                                        "projection": 8}},
        "study": {
            "data": common["data"], "seeds": [0, 1], "label_fractions": [100],
            "arms": [{"name": "cls", "method": network, "epochs": 1, "batch_size": 8}],
        },
    }  # fmt: skip
    for name, contents in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(contents))


def _make_layouts(folder: Path) -> None:
    """Write small replicas of the layouts that `data import` reads."""
    import numpy as np
    import tifffile
    from PIL import Image

    import made_layouts

    made_layouts.nnunet(folder / "nnunet")
    made_layouts.npz_xy(folder / "arrays")
    made_layouts.medmnist(folder / "medmnist")
    for number, part in enumerate(("Training", "Validation", "Test_v2")):
        lines = ["image_id,melanoma,seborrheic_keratosis"]
        for i, values in enumerate(("1.0,0.0", "0.0,1.0", "0.0,0.0")):
            key, seed = f"ISIC_{number}{i}", 10 * number + i
            made_layouts.save(folder / "isic2017" / f"ISIC-2017_{part}_Data" / f"{key}.jpg", made_layouts.picture(seed))
            masks = folder / "isic2017" / f"ISIC-2017_{part}_Part1_GroundTruth"
            made_layouts.save(masks / f"{key}_segmentation.png", made_layouts.disc(seed))
            lines.append(f"{key},{values}")
        made_layouts.text(folder / "isic2017" / f"ISIC-2017_{part}_Part3_GroundTruth.csv", "\n".join(lines) + "\n")
    for k, name in enumerate(("AK", "BCC", "MEL")):
        for n in range(2):
            lesion = folder / "dermofit" / name / f"{name}{n}"
            made_layouts.save(lesion / f"{lesion.name}.png", made_layouts.picture(10 * k + n))
            made_layouts.save(lesion / f"{lesion.name}mask.png", made_layouts.disc(n))
    lines = ["image,TFH-1,TFH-217,TFH-Like,B cells,others"]
    for number in range(4):
        name, rng = f"P{number // 2}_s{number}", np.random.default_rng(number)
        (folder / "stacks").mkdir(exist_ok=True)
        with tifffile.TiffWriter(folder / "stacks" / f"{name}.tif") as writer:
            stain = rng.integers(0, 60000, (28, 36), dtype=np.uint16)
            writer.write(stain, photometric="minisblack", extratags=[(285, "s", 0, "DAPI", True)], metadata=None)
            writer.write(made_layouts.picture(number), photometric="rgb", metadata=None)
        lines.append(f"{name}.tif,1,0,{number % 2},0,1")
    (folder / "stacks" / "labels.csv").write_text("\n".join(lines) + "\n")
    target = folder.parent / "stacks"
    target.mkdir()
    for number in range(3):
        pages = np.stack([np.asarray(Image.fromarray(made_layouts.picture(10 * number + page))) for page in range(2)])
        tifffile.imwrite(target / f"s{number}.tif", pages, photometric="rgb", tile=(16, 16))


def _make_pages(folder: Path) -> None:
    """Write TIFF pages of every kind, and a DICOM image with its segmentation."""
    import numpy as np

    from dicom_files import write_dicom
    from made_pages import KINDS
    from s4mi.inference.writers.mask_files import write_dicom_seg

    (folder / "pages").mkdir()
    for number, kind in enumerate(KINDS):
        KINDS[kind](folder / "pages" / f"{number:02d}.tif")
    for name in ("images", "masks"):
        (folder / "segmented" / name).mkdir(parents=True)
    values = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)
    image = write_dicom(folder / "segmented" / "images" / "a.dcm", values, **DICOM)
    write_dicom_seg(
        folder / "segmented" / "masks" / "a.dcm", (values[None] > 300).astype(np.uint8), image,
        classes=("background", "tumour"), model_name="m",
    )  # fmt: skip


def _make_unmasked(folder: Path) -> None:
    """Write a data set without its first masks, and these as annotations in COCO's format."""
    import cv2

    shutil.copytree(folder / "data", folder / "unmasked")
    table = (folder / "unmasked" / "manifest.csv").read_text().splitlines()
    names = table[0].split(",")
    image, mask = names.index("image"), names.index("mask")
    images, annotations, lines = [], [], [table[0]]
    for number, line in enumerate(table[1:]):
        cells = line.split(",")
        if number < 8:
            pixels = cv2.imread(str(folder / "data" / cells[mask]), cv2.IMREAD_GRAYSCALE)
            outlines, _ = cv2.findContours((pixels > 0).astype("uint8"), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            images.append({"id": number, "file_name": cells[image], "height": 32, "width": 32})
            annotations += [
                {"id": len(annotations) + place, "image_id": number, "category_id": 1, "bbox": [0, 0, 9, 9],
                 "segmentation": [one.reshape(-1).tolist()]}
                for place, one in enumerate(outlines) if len(one) > 2
            ]  # fmt: skip
            cells[mask] = ""
        lines.append(",".join(cells))
    (folder / "unmasked" / "manifest.csv").write_text("\n".join(lines) + "\n")
    categories = [{"id": 1, "name": "lesion"}]
    contents = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "masks.json").write_text(json.dumps(contents))


def make_runs(folder: Path, run: Callable[..., object]) -> None:
    """Prepare the trained runs and models that the commands read; `run` runs a command line."""
    for name in ("cls", "seg"):
        run("train", folder / f"{name}.yaml", "-o", folder / name)
        shutil.copytree(folder / name, folder / "runs" / name)
    run("predict", folder / "seg", folder / "data" / "images", "-o", folder / "predicted")
    run("data", "import", "pairs", folder / "scans", "-o", folder / "imported")
    run("study", "run", folder / "study.yaml", "-o", folder / "studied", "--workers", "0", "--no-sheets")
    for name, settings in (("pretrained", "simclr"), ("fitted", "fit")):
        run("train", folder / f"{settings}.yaml", "-o", folder / name)
    run("embed", folder / "pretrained", folder / "data", "-o", folder / "pretrained" / "features.parquet")
    shutil.copytree(folder / "cls", folder / "elsewhere")
    run("evaluate", folder / "elsewhere", "--on", folder / "viewed")
    run("suggest", folder / "cls", folder / "fresh", "-n", "4", "-o", folder / "next.csv")
    run("suggest", folder / "seg", folder / "unseen", "-n", "4", "-o", folder / "tasks.csv", "--format", "label-studio")
    run("simulate", folder / "quick.yaml", "-o", folder / "simulated", "--strategies", "random", "--seeds", "0",
        "--rounds", "1", "-n", "4")  # fmt: skip
    run("data", "split", folder / "data", "-o", folder / "split.json", f"--cache={folder / 'cache'}")
    for name, ending in (("cls", "onnx"), ("seg", "onnx"), ("cls", "pt2")):
        run("export", folder / name, "-o", folder / f"{name}.{ending}", "--overwrite")
