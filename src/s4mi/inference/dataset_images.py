"""Which images are looked at: files and folders, or rows of a data set with their labels and masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.data.files import stem_of
from s4mi.data.formats.intensity import Pixels
from s4mi.data.manifest import MANIFEST_NAME, Manifest, load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.spec import IGNORED_CLASS, SPEC_NAME, MaskKey
from s4mi.data.splits.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.inference.input_files import Unreadable, find_images
from s4mi.records import Part

if TYPE_CHECKING:  # it brings torch, which an ONNX file needs not
    from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class DatasetImage:
    """An image to be looked at, and what is known of it.

    Attributes:
        name: its own among the others, and fit for a file name; without ending.
        labels: None where nobody has said.
        mask: its mask, in which `mask_values` stand for classes, or None.
        synthetic: it is drawn, not photographed.
    """

    path: Path
    name: str
    labels: tuple[str, ...] | None = None
    mask: Path | None = None
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    synthetic: bool = False

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the classes of its mask, background first."""
        return tuple(dict.fromkeys(name for name in self.mask_values.values() if name != IGNORED_CLASS))


def find_dataset_images(
    inputs: Sequence[Path], runs: "Sequence[RunDir]", *, part: Part | None, limit: int, labelled: bool = False
) -> list[DatasetImage]:
    """Image files; up to `limit` images of each folder and data set, spread over its classes.

    Args:
        part: of a data set, the images that are in this part of the split of every run; None for all.
        labelled: leave out images without a label.

    Raises:
        S4miError: nothing is there, the data set is wrong or not that of the runs, or two images have one name.
    """
    pictures: list[DatasetImage] = []
    for given in inputs:
        if is_data_set(given):
            found = dataset_images(load_manifest(given), runs, part)
        else:
            found = [DatasetImage(image.path, _flat(image.name)) for image in find_images([given])]
        if labelled:
            found = [picture for picture in found if picture.labels]
        pictures += [found[i] for i in spread([picture.labels for picture in found], limit)]
    if not pictures:
        raise S4miError(f"{inputs[0]}: holds no image with a label; explain the predicted class, or give a data set")
    _refuse_same_names(pictures)
    return pictures


def spread(labels: Sequence[tuple[str, ...] | None], limit: int) -> list[int]:
    """Positions of at most `limit` images, ascending: as many of each label as there are, evenly spaced within it."""
    members: dict[tuple[str, ...] | None, list[int]] = {}
    for position, own in enumerate(labels):
        members.setdefault(own, []).append(position)
    wanted = dict.fromkeys(members, 0)
    left = min(limit, len(labels))
    while left:
        for own, positions in members.items():
            if left and wanted[own] < len(positions):
                wanted[own] += 1
                left -= 1
    return sorted(
        positions[(2 * i + 1) * len(positions) // (2 * wanted[own])]
        for own, positions in members.items()
        for i in range(wanted[own])
    )


def is_data_set(folder: Path) -> bool:
    """Whether the folder holds a data set, and not just images."""
    return (folder / SPEC_NAME).is_file() and (folder / MANIFEST_NAME).is_file()


def dataset_images(manifest: Manifest, runs: "Sequence[RunDir]", part: Part | None) -> list[DatasetImage]:
    """The images of a data set, or those that are in this part of the split of every run.

    Raises:
        S4miError: there are none, or the data set is not that of the runs.
    """
    numbers: Sequence[int] = range(len(manifest.rows))
    if part is not None:
        numbers = rows_in_part(manifest, runs, part, cure="take any of them with --split all")
    rows = [manifest.rows[number] for number in numbers]
    return [
        DatasetImage(
            path=row.image,
            name=row.id.replace("/", "_"),
            labels=row.labels,
            mask=row.mask,
            mask_values=manifest.spec.mask_values,
            synthetic=manifest.spec.synthetic,
        )
        for row in rows
    ]


def rows_in_part(manifest: Manifest, runs: "Sequence[RunDir]", part: Part, *, cure: str) -> list[int]:
    """Rows of the manifest that are in this part of the split of every run, ascending.

    Args:
        cure: what to do where a run was not trained on this data set.

    Raises:
        S4miError: there are none, or the data set is not that of the runs.
    """
    numbers = set(range(len(manifest.rows)))
    for run in runs:
        try:
            numbers &= set(read_parts(run.split_path, manifest)[part])
        except S4miError as error:
            raise S4miError(
                f"{manifest.folder}: which of its images are the {part} part of {run.path} is not known ({error}); "
                f"{cure}"
            ) from error
    if not numbers:
        raise S4miError(f"{manifest.folder}: no image is in the {part} part of every run; choose with --split")
    return sorted(numbers)


def read_truth(picture: DatasetImage, size: tuple[int, int]) -> Pixels | Unreadable | None:
    """(height, width) class indices of the picture's mask; None if it has none.

    Args:
        size: (height, width) of the picture, which its mask must have as well.
    """
    if picture.mask is None:
        return None
    try:
        mask = read_mask(picture.mask, picture.mask_values)
    except S4miError as error:
        return Unreadable(picture.mask, str(error))
    if mask.shape != size:
        (height, width), (own_height, own_width) = size, mask.shape
        message = (
            f"mask is {own_height}×{own_width} but its image is {height}×{width}; "
            "re-export the mask at the image's size"
        )
        return Unreadable(picture.mask, message)
    return mask


def _flat(name: str) -> str:
    path = Path(name)
    return str(path.with_name(stem_of(path))).replace("/", "_")


def _refuse_same_names(pictures: Sequence[DatasetImage]) -> None:
    seen: dict[str, Path] = {}
    for picture in pictures:
        if picture.name in seen:
            raise S4miError(
                f"{picture.path}: its overlays would overwrite those of {seen[picture.name]}; "
                "explain them into two folders"
            )
        seen[picture.name] = picture.path
