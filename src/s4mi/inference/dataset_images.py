"""Images with their known labels and masks: image files and folders, or rows of a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from s4mi.data.files import stem_of
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.manifest import Manifest, load_manifest
from s4mi.data.masks import read_mask
from s4mi.data.row import MANIFEST_NAME
from s4mi.data.series import Limits, series_limits
from s4mi.data.spec import IGNORED_CLASS, SPEC_NAME, MaskKey
from s4mi.data.splits.split_file import read_parts
from s4mi.data.walk import image_files
from s4mi.errors import S4miError, nearest
from s4mi.inference.input_files import Unreadable, find_images
from s4mi.records import Part

if TYPE_CHECKING:  # imports torch, which an ONNX file does not need
    from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class DatasetImage:
    """An image file and its known annotations.

    Attributes:
        name: unique among the images of a call and valid as a file name; without suffix.
        labels: None if unannotated.
        mask: path of its mask, in which `mask_values` encode classes; None if it has none.
        synthetic: the image is drawn, not photographed.
        of_data_set: it is a row of a data set, which training reads by itself, whatever series it is of.
    """

    path: Path
    name: str
    labels: tuple[str, ...] | None = None
    mask: Path | None = None
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    synthetic: bool = False
    of_data_set: bool = False

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the classes of its mask, background first."""
        return tuple(dict.fromkeys(name for name in self.mask_values.values() if name != IGNORED_CLASS))


def find_dataset_images(
    inputs: Sequence[Path], runs: "Sequence[RunDir]", *, part: Part | None, limit: int, labelled: bool = False
) -> list[DatasetImage]:
    """Collect image files, and up to `limit` images of each folder and data set, evenly over its labels.

    Args:
        part: of a data set, only images in this part of the split of every run; None for all.
        labelled: leave out images without a label.

    Raises:
        S4miError: there are no images, a data set is invalid or not that of the runs, or two images share a name.
    """
    images: list[DatasetImage] = []
    for path in inputs:
        if is_data_set(path):
            found = dataset_images(load_manifest(path), runs, part)
        else:
            found = [DatasetImage(image.path, _flat_name(image.name)) for image in find_images([path])]
        if labelled:
            found = [image for image in found if image.labels]
        images += [found[i] for i in select_evenly([image.labels for image in found], limit)]
    if not images:
        raise S4miError(f"{inputs[0]}: no labelled image found; explain the predicted class, or use a data set")
    _check_unique_names(images)
    return images


def select_evenly(labels: Sequence[tuple[str, ...] | None], limit: int) -> list[int]:
    """Select the indices of at most `limit` images, ascending: balanced over labels, evenly spaced within each."""
    members: dict[tuple[str, ...] | None, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    quotas = dict.fromkeys(members, 0)
    remaining = min(limit, len(labels))
    while remaining:
        for label, indices in members.items():
            if remaining and quotas[label] < len(indices):
                quotas[label] += 1
                remaining -= 1
    return sorted(
        indices[(2 * i + 1) * len(indices) // (2 * quotas[label])]
        for label, indices in members.items()
        for i in range(quotas[label])
    )


def is_data_set(folder: Path) -> bool:
    """Whether the folder is a data set rather than a plain folder of images."""
    return (folder / SPEC_NAME).is_file() and (folder / MANIFEST_NAME).is_file()


def shared_limits(inputs: Sequence[Path], rule: Intensity) -> dict[Path, Limits]:
    """Values that become 0 and 255 in the DICOM series of files and folders, as `s4mi predict` reads them.

    Images of data sets have none: they are read by themselves, as in training.
    """
    loose = [path for path in inputs if not is_data_set(path)]
    files = [file for path in loose for file in (image_files(path) if path.is_dir() else [path])]
    return series_limits(files, rule)


def dataset_images(manifest: Manifest, runs: "Sequence[RunDir]", part: Part | None) -> list[DatasetImage]:
    """List the images of a data set, or those in this part of the split of every run.

    Raises:
        S4miError: there are none, or the data set is not that of the runs.
    """
    indices: Sequence[int] = range(len(manifest.rows))
    if part is not None:
        indices = rows_in_part(manifest, runs, part, hint="use all of them with --split all")
    rows = [manifest.rows[index] for index in indices]
    return [
        DatasetImage(
            path=row.image,
            name=row.id.replace("/", "_"),
            labels=row.labels,
            mask=row.mask,
            mask_values=manifest.spec.mask_values,
            synthetic=manifest.spec.synthetic,
            of_data_set=True,
        )
        for row in rows
    ]


def rows_in_part(manifest: Manifest, runs: "Sequence[RunDir]", part: Part, *, hint: str) -> list[int]:
    """Indices of the manifest rows that are in this part of the split of every run, ascending.

    Args:
        hint: what to do if a run was not trained on this data set.

    Raises:
        S4miError: there are none, `part` is unknown, or the data set is not that of the runs.
    """
    if part not in get_args(Part):
        raise S4miError(
            f"unknown part {part!r}{nearest(part, get_args(Part))}; choose from {', '.join(get_args(Part))}"
        )
    indices = set(range(len(manifest.rows)))
    for run in runs:
        try:
            indices &= set(read_parts(run.split_path, manifest)[part])
        except S4miError as error:
            raise S4miError(
                f"{manifest.folder}: the split of {run.path} does not match, so its {part} part is unknown ({error}); "
                f"{hint}"
            ) from error
    if not indices:
        raise S4miError(
            f"{manifest.folder}: no image is in the {part} part of every run; choose another part with --split"
        )
    return sorted(indices)


def read_true_mask(image: DatasetImage, size: tuple[int, int]) -> Pixels | Unreadable | None:
    """Read the true mask of an image as (height, width) class indices; None if it has none.

    Args:
        size: (height, width) of the image, which its mask must match.
    """
    if image.mask is None:
        return None
    try:
        mask = read_mask(image.mask, image.mask_values)
    except S4miError as error:
        return Unreadable(image.mask, str(error))
    if mask.shape != size:
        (height, width), (mask_height, mask_width) = size, mask.shape
        message = (
            f"mask is {mask_height}×{mask_width} but its image is {height}×{width}; "
            "re-export the mask at the image's size"
        )
        return Unreadable(image.mask, message)
    return mask


def _flat_name(name: str) -> str:
    path = Path(name)
    return str(path.with_name(stem_of(path))).replace("/", "_")


def _check_unique_names(images: Sequence[DatasetImage]) -> None:
    seen: dict[str, Path] = {}
    for image in images:
        if image.name in seen:
            raise S4miError(
                f"{image.path}: its overlays would overwrite those of {seen[image.name]}; explain them into two folders"
            )
        seen[image.name] = image.path
