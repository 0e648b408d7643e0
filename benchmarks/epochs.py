"""Time whole training epochs against common loaders and training loops.

    python benchmarks/epochs.py [--rounds R] [--images N] [--quick]

    DINO            lightly: its `DINOTransform`, a `DataLoader` and the loop of its documentation
    fine-tuning     PIL, torchvision, a `DataLoader` and a plain loop with Adam
    segmentation    the same loop on batches by scipy.ndimage, by MONAI, and by MONAI's cache

The sides alternate: see `epoch_contest.py`, also for what is checked first. Images are synthetic. Peers decode in every
epoch, with two processes; s4mi decodes once, which is not timed but printed, and uses two threads. Rows "from memory"
repeat one batch, so that only the steps are compared: no loader makes an epoch faster than that. Memory is the peak
of two steps in a process of their own, minus that before the network was built (Linux only).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from drawn import PAGE, SQUARE, outlined, photographs, squares
from epoch_contest import BATCH, WORKERS, Contest, compare
from measured import Pair, machine, report
from pretraining import EXAMPLE_HEAD
from s4mi.data.manifest import Manifest
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.settings.pretraining.dino import DinoConfig
from s4mi.settings.segmentation.supervised import SupervisedConfig
from usual_loaders import AsSsl4mis, Crops, Loader, Monai, Photographs, SameViews, loader
from usual_loops import lightly_dino, plain_classifier, plain_segmenter

NAMES = {"resnet18": "ResNet-18", "tiny_resnet": "tiny ResNet"}
LESIONS = ("melanoma", "nevus", "seborrheic_keratosis")
PACKAGES = ("torch", "torchvision", "timm", "lightly", "monai", "scipy", "Pillow", "opencv-python-headless")


@dataclass(frozen=True)
class Row:
    """A contest and its data.

    Attributes:
        draw: writes a data set of so many images into a folder. loaders: the peers' loaders by name, for a data set.
    """

    contest: Contest
    draw: Callable[[Path, int], Manifest]
    loaders: Callable[[Manifest], Mapping[str, Loader]]


def dino(backbone: str, size: int, local_size: int, *, number: int, turn: int = 1) -> Row:
    """Two large and six small crops, with the head of lightly's example."""
    hidden, bottleneck, prototypes = EXAMPLE_HEAD
    config = DinoConfig(
        backbone=backbone,
        weights="none",
        local_size=local_size,
        hidden=hidden,
        bottleneck=bottleneck,
        prototypes=prototypes,
        batch_norm=False,  # as in the paper and in lightly's example
    )
    crops = f"2 × {size} + 6 × {local_size}"
    what = f"DINO, {NAMES[backbone]}, {crops}, batch {BATCH}, JPEG {SQUARE}×{SQUARE}"
    contest = Contest(what, number, config, lightly_dino, "multiclass", LESIONS, size, turn)

    def loaders(manifest: Manifest) -> Mapping[str, Loader]:
        return {"lightly + DataLoader": loader(Crops(manifest, size, local_size), batch=BATCH, workers=WORKERS)}

    return Row(contest, squares, loaders)


def finetuning(backbone: str, size: int, *, number: int, turn: int = 1, memory: bool = False) -> Row:
    """A classifier of photographs, resized to `size` × `size` pixels on both sides."""
    config = FinetuneConfig(backbone=backbone, weights="none")
    what = f"fine-tuning, {NAMES[backbone]}, {size}, batch {BATCH}, JPEG {PAGE[1]}×{PAGE[0]}"
    contest = Contest(what, number, config, plain_classifier, "multiclass", LESIONS, size, turn, memory, alone=number)

    def loaders(manifest: Manifest) -> Mapping[str, Loader]:
        dataset = Photographs(manifest, size, config.views)
        return {"PIL + torchvision + DataLoader": loader(dataset, batch=BATCH, workers=WORKERS)}

    return Row(contest, photographs, loaders)


def segmentation(size: int, *, number: int, turn: int = 1, memory: bool = False) -> Row:
    """The U-Net of the small profile, on a tiny ResNet, on images and masks of `size` × `size` pixels."""
    config = SupervisedConfig(
        recipe="paper",  # only turned and flipped, as the other loaders do
        encoder="tiny_resnet",
        weights="none",
        decoder_channels=(64, 32, 16, 8),
    )
    what = f"segmentation, tiny ResNet U-Net, {size}, batch {BATCH}, {SQUARE}×{SQUARE} with masks"
    classes = ("background", "lesion")
    contest = Contest(what, number, config, plain_segmenter, "segmentation", classes, size, turn, memory)

    def loaders(manifest: Manifest) -> Mapping[str, Loader]:
        usual = partial(loader, batch=BATCH, workers=WORKERS)
        monai = partial(Monai, manifest, size, batch=BATCH, workers=WORKERS)
        return {
            "np.load + scipy.ndimage as SSL4MIS": usual(AsSsl4mis(manifest, size)),
            "np.load + PIL + scipy.ndimage, our views": usual(SameViews(manifest, size)),
            "MONAI, PNG": monai(cached=False),
            "MONAI with CacheDataset": monai(cached=True),
        }

    return Row(contest, outlined, loaders)


def full() -> Iterator[Row]:
    """All rows."""
    yield dino("resnet18", 96, 48, number=3)
    yield finetuning("resnet18", 224, number=5, memory=True)
    yield finetuning("resnet18", 96, number=5)
    yield segmentation(224, number=6, memory=True)
    yield from small()


def small() -> Iterator[Row]:
    """The networks and sizes of the small profile, for laptops."""
    yield dino("tiny_resnet", 64, 32, number=0, turn=2)
    yield finetuning("tiny_resnet", 64, number=0, turn=2)
    yield segmentation(64, number=6, turn=2)


NOTES = f"""- s4mi decodes once; epochs are timed from the second on. Its views are made from the cached images, which
  for DINO are as large as the large crops; lightly crops from the {SQUARE} pixels of the file. In DINO each
  side uses its default augmentation, in fine-tuning both use that of s4mi.
- The first scipy row rotates by multiples of 90° and by up to 20°, with nearest-neighbour interpolation, each with
  probability 1/2; s4mi and the others rotate every image by any angle, bilinearly.
- "From memory" is the ratio without loading of images."""


def main() -> None:
    """Generate the images, run the measurements, print the table."""
    arguments = _arguments()
    torch.set_num_threads(WORKERS)
    rounds, images = arguments.rounds, arguments.images
    setting = (
        f"{machine(PACKAGES)} {images} synthetic images, {rounds} rounds; DataLoader with {WORKERS} processes, "
        f"s4mi with {WORKERS} threads."
    )
    pairs: list[Pair] = []
    notes: list[str] = []
    for row in small() if arguments.quick else full():
        with tempfile.TemporaryDirectory() as name:
            manifest = row.draw(Path(name) / "images", images)
            found, note = compare(
                row.contest,
                manifest,
                row.loaders(manifest),
                rounds=rounds,
                folder=Path(name) / "cache",
                from_memory=not arguments.quick,
            )
        for pair in found:
            print(pair.row(), flush=True)
        pairs += found
        notes.append(note)
    report("epochs", setting, pairs, text="\n".join([*notes, NOTES]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time whole epochs against common loaders and training loops.")
    parser.add_argument("--rounds", type=int, help="measurements of each side (default: 5; 2 with --quick)")
    parser.add_argument("--images", type=int, help="number of images of each kind (default: 80; 32 with --quick)")
    parser.add_argument("--quick", action="store_true", help="few and small images; no rows from memory")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 5)
    arguments.images = arguments.images or (32 if arguments.quick else 80)
    return arguments


if __name__ == "__main__":
    main()
