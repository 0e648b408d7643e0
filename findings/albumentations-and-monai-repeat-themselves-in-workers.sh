#!/usr/bin/env bash
# Packages: albumentations 2.0.8, monai 1.6.1, torchvision 0.29.2, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU, Linux.
#
# PyTorch's DataLoader gives every worker process, in every epoch, its own seed for the generators of torch, `random`
# and numpy, and most augmentation draws from these. albumentations 2 and MONAI have generators of their own inside the
# transform; those are copied into each worker as they are. So with a plain DataLoader all workers augment with the same
# numbers (image 0 of worker 0 as image 1 of worker 1), and as workers start anew for each epoch, every epoch repeats
# the numbers of the first: an image sees one view in the whole training, however long it runs, if images come in a
# fixed order, and with shuffling there are as many different views as one worker loads images in an epoch, which with
# few labels are few. Nothing fails. torchvision's transforms are not affected, nor is MONAI with its own DataLoader.
#
# Seen, brightness of 8 equal images, 2 workers, 3 epochs: albumentations 4 different values of 24, the same in each
# epoch; with persistent workers 12; MONAI the same; torchvision and monai.data.DataLoader 24.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet albumentations==2.0.8 monai==1.6.1 torchvision==0.29.2 torch==2.15.0 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
export NO_ALBUMENTATIONS_UPDATE=1
cat > "$work/workers.py" <<'PYTHON'
import albumentations
import monai.data
import monai.transforms
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2


def by_albumentations():
    transform = albumentations.Compose(
        [albumentations.RandomBrightnessContrast(brightness_limit=0.5, contrast_limit=0, p=1)]
    )
    return lambda: float(transform(image=np.full((4, 4, 3), 0.5, np.float32))["image"].mean())


def by_monai():
    transform = monai.transforms.RandScaleIntensity(0.5, prob=1)
    return lambda: float(transform(np.full((1, 4, 4), 0.5, np.float32)).mean())


def by_torchvision():
    transform = v2.ColorJitter(brightness=0.5)
    return lambda: float(transform(torch.full((3, 4, 4), 0.5)).mean())


class Images(Dataset, monai.transforms.Randomizable):
    """Eight equal images; MONAI's DataLoader seeds a data set that is `Randomizable`, as its own data sets are."""

    def __init__(self, make):
        self.draw = make()

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.tensor(self.draw())


def views(make, loader=DataLoader, persistent=False):
    """Different values of brightness in three epochs, and whether the epochs are equal."""
    batches = loader(Images(make), batch_size=1, num_workers=2, persistent_workers=persistent)
    epochs = [[round(float(value), 5) for value in batches] for _ in range(3)]
    return len({value for epoch in epochs for value in epoch}), epochs[0] == epochs[1] == epochs[2]


def main():
    found = {
        "albumentations": views(by_albumentations),
        "albumentations, persistent workers": views(by_albumentations, persistent=True),
        "MONAI": views(by_monai),
        "MONAI, persistent workers": views(by_monai, persistent=True),
        "torchvision": views(by_torchvision),
    }
    transform = monai.transforms.RandScaleIntensity(0.5, prob=1)
    data = monai.data.Dataset([np.full((1, 4, 4), 0.5, np.float32)] * 8, transform)
    batches = monai.data.DataLoader(data, batch_size=1, num_workers=2)
    values = {round(float(image.mean()), 5) for _ in range(3) for image in batches}
    found["MONAI with its own DataLoader"] = (len(values), False)
    for name, (different, equal) in found.items():
        print(f"{name}: {different} different values of 24, epochs {'equal' if equal else 'different'}")
    for name in ("albumentations", "MONAI"):
        assert found[name] == (4, True), found
        assert found[f"{name}, persistent workers"] == (12, False), found
    assert found["torchvision"] == (24, False), found
    assert found["MONAI with its own DataLoader"] == (24, False), found


if __name__ == "__main__":
    main()
PYTHON
"$work/venv/bin/python" "$work/workers.py"
