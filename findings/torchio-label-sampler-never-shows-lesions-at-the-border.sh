#!/usr/bin/env bash
# Packages: torchio 1.2.1, monai 1.6.1, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# TorchIO's LabelSampler draws patches whose centre is of a given class with a given probability, so that rare lesions
# are seen often. A patch has to fit into the image; one expects one for a lesion near the border to be moved inwards
# until it does, as MONAI's RandCropByLabelClassesd does. TorchIO takes the voxels within half a patch of the border
# out of the lottery before classes are weighed, and the share of a class of which nothing is left goes to the others.
# A pleural nodule or a cortical metastasis with a weight of three quarters is then in no patch at all, though even
# uniform patches would show it now and then, and nothing warns as long as any weighted voxel is left further inside.
# (Without one the sampler raises and names the border.) Padding by half a patch first is the remedy.
#
# Seen, 40³ voxels, a lesion of class 1 in the middle and one of class 2 in a corner, patches of 16³, weights 1 and 3;
# patches of 300 that show class 2: LabelSampler 0, after padding 225 or so, as MONAI; UniformSampler 1 of 300 or so
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchio==1.2.1 monai==1.6.1 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
import torchio
from monai.transforms import RandCropByLabelClassesd

torch.manual_seed(0)
SIDE, PATCH, NUMBER = 40, 16, 300
labels = torch.zeros(1, SIDE, SIDE, SIDE, dtype=torch.uint8)
labels[:, 18:22, 18:22, 18:22] = 1
labels[:, 36:, 36:, 36:] = 2
image = torchio.ScalarImage(tensor=torch.rand(labels.shape))
subject = torchio.Subject(image=image, labels=torchio.LabelMap(tensor=labels))


def share(sampler, image, number=NUMBER):
    """Share of the patches that show class 2."""
    return sum(bool((patch.labels.data == 2).any()) for patch in sampler(image, number)) / number


by_label = torchio.LabelSampler(PATCH, "labels", {0: 0, 1: 1, 2: 3})
crop = RandCropByLabelClassesd(
    keys=["labels"], label_key="labels", spatial_size=[PATCH] * 3, ratios=[0, 1, 3], num_classes=3, num_samples=NUMBER
)
crop.set_random_state(0)
shares = {
    "LabelSampler": share(by_label, subject),
    "LabelSampler after padding": share(by_label, torchio.Pad(PATCH // 2)(subject)),
    "UniformSampler": share(torchio.UniformSampler(PATCH), subject, 3000),
    "MONAI": sum(bool((patch["labels"] == 2).any()) for patch in crop({"labels": labels})) / NUMBER,
}
print(shares)
assert shares["LabelSampler"] == 0
assert 0 < shares["UniformSampler"] < 0.02
assert all(0.65 < shares[name] < 0.85 for name in ("LabelSampler after padding", "MONAI"))

only_border = torch.where(labels == 1, 0, labels)
border = torchio.Subject(labels=torchio.LabelMap(tensor=only_border))
try:
    share(by_label, border)
except RuntimeError as error:
    print("without a lesion inside:", str(error).splitlines()[1])
else:
    raise AssertionError("a patch was drawn")
PYTHON
