"""Tiny drawn replicas of the layouts of public data sets: folders, file names, kinds of masks and headers of tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 24


def picture(seed: int) -> NDArray[np.uint8]:
    """(24, 24, 3) noise, different for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def disc(seed: int, value: int = 255) -> NDArray[np.uint8]:
    """(24, 24) disc whose place depends on the seed."""
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = (y - 8 - seed % 6) ** 2 + (x - 10 - seed % 3) ** 2 < 16
    return (inside * value).astype(np.uint8)


def save(path: Path, pixels: NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def busi(root: Path) -> None:
    for k, name in enumerate(("benign", "malignant", "normal")):
        for i in range(1, 5):
            save(root / name / f"{name} ({i}).png", picture(10 * k + i))
            mask = Image.fromarray(disc(i) * (name != "normal"))
            mask.convert("1").save(root / name / f"{name} ({i})_mask.png")
    save(root / "benign" / "benign (2)_mask_1.png", np.roll(disc(2), 12, axis=1))
    save(root / "malignant" / "malignant (1)_mask.png", np.dstack([*[disc(1)] * 3, np.full_like(disc(1), 255)]))


def isic2018_task1(root: Path) -> None:
    for part, numbers in (("Training", range(6)), ("Validation", range(6, 8)), ("Test", range(8, 11))):
        for i in numbers:
            save(root / f"ISIC2018_Task1-2_{part}_Input" / f"ISIC_00000{i:02d}.jpg", picture(i))
            save(root / f"ISIC2018_Task1_{part}_GroundTruth" / f"ISIC_00000{i:02d}_segmentation.png", disc(i))


def cvc_clinicdb(root: Path) -> None:
    for i in range(1, 7):
        save(root / "Original" / f"{i}.tif", picture(i))
        save(root / "Ground Truth" / f"{i}.tif", disc(i))


def dsb2018(root: Path) -> None:
    for i in range(6):
        name = f"{i:04d}abcdef"
        save(root / "stage1_train" / name / "images" / f"{name}.png", picture(i))
        for n in range(1 + i % 3):
            save(root / "stage1_train" / name / "masks" / f"m{i}{n}.png", np.roll(disc(i), 9 * n, axis=0))


def nnunet(root: Path) -> None:
    import nibabel

    for i in range(5):
        for folder, number in (("imagesTr", 0), ("imagesTr", 1)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            volume = np.random.default_rng(10 * i + number).normal(size=(8, 9, 3))
            nibabel.save(
                nibabel.Nifti1Image(volume, np.eye(4)), root / folder / f"prostate_{i:02d}_{number:04d}.nii.gz"
            )
        mask = np.zeros((8, 9, 3), np.uint8)
        mask[2:4, 3:5], mask[5:7, 6:8] = 1, 2
        (root / "labelsTr").mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), root / "labelsTr" / f"prostate_{i:02d}.nii.gz")
    (root / "imagesTs").mkdir()
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), root / "imagesTs" / "prostate_09_0000.nii.gz")
    content = {"channel_names": {"0": "T2", "1": "ADC"}, "labels": {"background": 0, "PZ": 1, "TZ": 2}}
    text(root / "dataset.json", json.dumps(content | {"numTraining": 5, "file_ending": ".nii.gz"}))
    cases = [f"prostate_{i:02d}" for i in range(5)]
    text(root / "splits_final.json", json.dumps([{"train": cases[:4], "val": cases[4:]}]))


def ham10000(root: Path) -> None:
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for i in range(10):
        save(root / f"HAM10000_images_part_{1 + i // 5}" / f"ISIC_00243{i:02d}.jpg", picture(i))
        rows.append(f"HAM_{i // 2:07d},ISIC_00243{i:02d},{('nv', 'mel', 'bkl')[i // 2 % 3]},histo,{40 + i}.0,male,back")
    text(root / "HAM10000_metadata.csv", "\n".join(rows) + "\n")


def isic2018_task3(root: Path) -> None:
    rows, groups = ["image,MEL,NV,BCC"], ["image,lesion_id,diagnosis_confirm_type"]
    for i in range(9):
        save(root / "ISIC2018_Task3_Training_Input" / f"ISIC_00250{i:02d}.jpg", picture(i))
        rows.append(f"ISIC_00250{i:02d}," + ",".join(f"{float(i // 2 % 3 == k):.1f}" for k in range(3)))
        groups.append(f"ISIC_00250{i:02d},HAM_{i // 2},histopathology")
    text(root / "ISIC2018_Task3_Training_GroundTruth.csv", "\n".join(rows) + "\n")
    text(root / "ISIC2018_Task3_Training_LesionGroupings.csv", "\n".join(groups) + "\n")


def isic2019(root: Path) -> None:
    rows, meta = ["image,MEL,NV,UNK"], ["image,age_approx,anatom_site_general,lesion_id,sex"]
    for i in range(9):
        name = f"ISIC_00000{i:02d}" + "_downsampled" * (i < 3)
        save(root / "ISIC_2019_Training_Input" / f"{name}.jpg", picture(i))
        rows.append(f"{name},{float(i % 2)},{float(1 - i % 2)},0.0")
        meta.append(f"{name},55.0,torso,BCN_{i // 2},female")
    text(root / "ISIC_2019_Training_GroundTruth.csv", "\n".join(rows) + "\n")
    text(root / "ISIC_2019_Training_Metadata.csv", "\n".join(meta) + "\n")


def isic2020(root: Path) -> None:
    rows = ["image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"]
    for i in range(20):
        save(root / "train" / f"ISIC_26{i:02d}.jpg", picture(i))
        kind = ("benign", "malignant")[i % 4 == 3]
        rows.append(f"ISIC_26{i:02d},IP_{i // 2},male,45.0,torso,unknown,{kind},{int(i % 4 == 3)}")
    text(root / "train.csv", "\n".join(rows) + "\n")


def chexpert(root: Path) -> None:
    columns = ("No Finding", "Cardiomegaly", "Edema", "Atelectasis")
    cells = ("1.0,,,", ",1.0,0.0,-1.0", ",,1.0,1.0", ",0.0,,1.0", "1.0,,,", ",1.0,,")
    for part, patients in (("train", range(1, 9)), ("valid", range(10, 13))):
        rows = [f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(columns)}"]
        for i in patients:
            for view in range(1, 1 + i % 3):
                path = f"CheXpert-v1.0-small/{part}/patient{i:05d}/study1/view{view}_frontal.jpg"
                save(root / path.partition("/")[2], picture(10 * i + view)[:, :, 0])
                rows.append(f"{path},Female,{50 + i},Frontal,AP,{cells[i % 6]}")
        text(root / f"{part}.csv", "\n".join(rows) + "\n")


def nih_chestxray14(root: Path) -> None:
    labels = ("No Finding", "Effusion|Mass", "Effusion", "Mass", "No Finding", "Cardiomegaly")
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"]
    lists: dict[str, list[str]] = {"train_val_list.txt": [], "test_list.txt": []}
    for i in range(24):
        name = f"{i // 2:08d}_{i % 2:03d}.png"
        save(root / f"images_{1 + i // 2:03d}" / "images" / name, picture(i)[:, :, 0])
        rows.append(f"{name},{labels[i % 6]},{i % 2},{i // 2},58,M,PA,")
        lists["train_val_list.txt" if i < 18 else "test_list.txt"].append(name)
    text(root / "Data_Entry_2017.csv", "\n".join(rows) + "\n")
    for name, names in lists.items():
        text(root / name, "\n".join(names) + "\n")


def eyepacs(root: Path) -> None:
    rows = ["image,level"]
    for i in range(10):
        name = f"{10 + i // 2}_{('left', 'right')[i % 2]}"
        save(root / "train" / f"{name}.jpeg", picture(i))
        rows.append(f"{name},{i % 3}")
    text(root / "trainLabels.csv", "\n".join(rows) + "\n")


def aptos(root: Path) -> None:
    train, test = ["id_code,diagnosis"], ["id_code"]
    for i in range(9):
        part, rows = ("train", train) if i < 7 else ("test", test)
        save(root / f"{part}_images" / f"{i:04x}c0de.png", picture(i))
        rows.append(f"{i:04x}c0de" + (f",{i % 3}" if i < 7 else ""))
    text(root / "train.csv", "\n".join(train) + "\n")
    text(root / "test.csv", "\n".join(test) + "\n")


def kvasir_seg(root: Path) -> None:
    for i in range(6):
        save(root / "images" / f"cju{i}.jpg", picture(i))
        save(root / "masks" / f"cju{i}.jpg", np.dstack([disc(i)] * 3), quality=75)


def glas(root: Path) -> None:
    for i in range(1, 7):
        save(root / "images" / f"train_{i}.bmp", picture(i))
        mask = disc(i).astype(np.uint16) // 255 * (i + 300)
        save(root / "masks" / f"train_{i}.tif", mask + np.roll(disc(i), 11, axis=0).astype(np.uint16) // 255)


def drive(root: Path) -> None:
    for part, numbers in (("training", range(21, 27)), ("test", range(1, 4))):
        for i in numbers:
            save(root / part / "images" / f"{i:02d}_{part}.tif", picture(i))
            save(root / part / "1st_manual" / f"{i:02d}_manual1.gif", disc(i))
            save(root / part / "mask" / f"{i:02d}_{part}_mask.gif", np.full((SIDE, SIDE), 255, np.uint8))


def pannuke(root: Path) -> None:
    pixels = np.stack([picture(i) for i in range(6)]).astype(np.float64)
    masks = np.zeros((6, SIDE, SIDE, 6))
    for i in range(6):
        masks[i, :, :, i % 3] = disc(i, 1).astype(np.float64) * (300 + i)
    masks[..., 5] = ~masks[..., :5].any(axis=3)
    for folder, name, values in (
        ("images", "images", pixels),
        ("masks", "masks", masks),
        ("images", "types", np.array(["Breast", "Colon"] * 3)),
    ):
        path = root / "Fold 1" / folder / "fold1" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)


def patchcamelyon(root: Path) -> None:
    import h5py

    root.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(("train", "valid", "test")):
        pixels = np.stack([picture(10 * number + i) for i in range(4)])
        for what, values in (("x", pixels), ("y", np.array([0, 1, 1, 0], np.uint8).reshape(4, 1, 1, 1))):
            with h5py.File(root / f"camelyonpatch_level_2_split_{part}_{what}.h5", "w") as file:
                file[what] = values


def npz_xy(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.stack([picture(i) for i in range(9)])
    np.savez(root / "set.npz", x_train=pixels[:6], y_train=[0, 1, 2] * 2, x_test=pixels[6:], y_test=[0, 1, 2])


def medmnist(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    for number, part in enumerate(("train", "val", "test")):
        arrays[f"{part}_images"] = np.stack([picture(10 * number + i)[:, :, 0] for i in range(4)])
        arrays[f"{part}_labels"] = np.array([[0], [1], [0], [1]])
    np.savez(root / "pneumoniamnist.npz", **arrays)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "BUSI": busi, "ISIC2018_Task1": isic2018_task1, "CVC-ClinicDB": cvc_clinicdb, "DSB2018": dsb2018,
    "Dataset005_Prostate": nnunet, "HAM10000": ham10000, "ISIC2018_Task3": isic2018_task3, "ISIC2019": isic2019,
    "ISIC2020": isic2020, "CheXpert-v1.0-small": chexpert, "NIH": nih_chestxray14, "EyePACS": eyepacs, "APTOS": aptos,
    "Kvasir-SEG": kvasir_seg, "GlaS": glas, "DRIVE": drive, "PanNuke": pannuke, "PCam": patchcamelyon, "npz": npz_xy,
    "MedMNIST": medmnist,
}  # fmt: skip
