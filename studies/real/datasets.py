"""Make the data sets of the studies in this folder from public images, which the project does not contain.

    python studies/real/datasets.py IMAGES datasets

IMAGES holds isic2017/{train,val,test}/, ph2/, nuclei/ and fundus/, each with images/, masks/ (if any) and labels.csv.
ISIC-2017 keeps its official split for classes; images of training and validation that are also in another part, as
`s4mi data check` finds them, are left out. Its test part has no masks here, so masks are split at random, without the
near-duplicates among images that have one; one of two near-duplicates among the nuclei is left out. The two data sets
with the suffix `-melanoma` have two classes, which two places share.
"""

import csv
import subprocess
import sys
from pathlib import Path

IN_TWO_PARTS = (
    "ISIC_0000162", "ISIC_0000171", "ISIC_0012175", "ISIC_0012221", "ISIC_0012222", "ISIC_0012271", "ISIC_0012887",
    "ISIC_0012970", "ISIC_0013163",
)  # fmt: skip
"""The same picture, or a near-duplicate, is in a later part of the official split."""
NEAR_DUPLICATES = (
    "ISIC_0012673", "ISIC_0013184", "ISIC_0013594", "ISIC_0014846", "ISIC_0012127", "ISIC_0015124",
)  # fmt: skip
"""Images with a mask whose near-duplicate has one too."""
NUCLEI_TWICE = "cb4df20a83b2f38b394c67f1d9d4aef29f9794d5345da3576318374ec3a11490"
"""A near-duplicate of another page of nuclei."""
EYES = ",".join(f"eye_{letter}" for letter in "NDGCAHMO")


def isic_table(source: Path, target: Path, *, masks: bool) -> None:
    """Write one table of the official parts, with masks and no split, or with the split and no masks."""
    rows = []
    for part in ("train", "val") if masks else ("train", "val", "test"):
        for row in csv.DictReader((source / part / "labels.csv").open(encoding="utf-8")):
            if Path(row["image"]).stem in (NEAR_DUPLICATES if masks else IN_TWO_PARTS):
                continue
            image = source / part / "images" / row["image"]
            mask = str(source / part / "masks" / row["mask"]) if masks else ""
            rows.append({"image": str(image), "mask": mask, "label": row["label"], "split": "" if masks else part})
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", "mask", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)


def nuclei_table(source: Path, target: Path) -> None:
    """Write the pages without the near-duplicate, with the full paths of images and masks."""
    rows = list(csv.DictReader((source / "labels.csv").open(encoding="utf-8")))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "mask"))
        for row in rows:
            if Path(row["image"]).stem != NUCLEI_TWICE:
                writer.writerow((source / "images" / row["image"], source / "masks" / row["mask"]))


def import_table(source: Path, out: Path, *options: str) -> None:
    """Run `s4mi data import table`."""
    command = [sys.executable, "-m", "s4mi", "data", "import", "table", str(source), "-o", str(out), *options]
    subprocess.run(command, check=True)


def main(images: Path, out: Path) -> None:
    """Make all data sets of the studies."""
    images, out = images.resolve(), out.resolve()
    tables = out / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    isic, isic_masks, nuclei = (tables / f"{name}.csv" for name in ("isic2017", "isic2017-masks", "nuclei"))
    isic_table(images / "isic2017", isic, masks=False)
    isic_table(images / "isic2017", isic_masks, masks=True)
    others = ("--rename", "nevus=other", "--rename", "seborrheic_keratosis=other")
    import_table(isic, out / "isic2017", "--mask", "")
    import_table(isic, out / "isic2017-melanoma", "--mask", "", *others)
    import_table(isic_masks, out / "isic2017-masks", "--label", "", "--split-column", "", "--foreground", "lesion")
    ph2 = ("--group", "", "--foreground", "lesion")
    import_table(images / "ph2" / "labels.csv", out / "ph2", "--label", "diagnosis", *ph2)
    others = ("--rename", "common_nevus=other", "--rename", "atypical_nevus=other")
    import_table(images / "ph2" / "labels.csv", out / "ph2-melanoma", "--label", "diagnosis", *others, *ph2)
    nuclei_table(images / "nuclei", nuclei)
    import_table(nuclei, out / "nuclei", "--foreground", "nucleus")
    fundus = ("--one-hot", EYES, "--group", "patient", "--multilabel")
    import_table(images / "fundus" / "labels.csv", out / "fundus", *fundus)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
