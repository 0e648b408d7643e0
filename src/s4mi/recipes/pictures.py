"""Which images are explained: files and folders, or rows of a data set with their labels and masks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.manifest import MANIFEST_NAME, Manifest, load_manifest
from s4mi.data.spec import SPEC_NAME, MaskKey
from s4mi.data.split_file import read_parts
from s4mi.errors import S4miError
from s4mi.recipes.predict import find_images
from s4mi.recipes.run_dir import RunDir
from s4mi.records import Part


@dataclass(frozen=True)
class Picture:
    """An image to be explained, and what is known of it.

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


def find_pictures(
    inputs: Sequence[Path], runs: Sequence[RunDir], *, part: Part | None, limit: int, labelled: bool = False
) -> list[Picture]:
    """Image files; up to `limit` images of each folder and data set, spread over its classes.

    Args:
        part: of a data set, the images that are in this part of the split of every run; None for all.
        labelled: leave out images without a label.

    Raises:
        S4miError: nothing is there, the data set is wrong or not that of the runs, or two images have one name.
    """
    pictures: list[Picture] = []
    for given in inputs:
        if (given / SPEC_NAME).is_file() and (given / MANIFEST_NAME).is_file():
            found = list(_rows(load_manifest(given), runs, part))
        else:
            found = [Picture(image.path, _flat(image.name)) for image in find_images([given])]
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


def _rows(manifest: Manifest, runs: Sequence[RunDir], part: Part | None) -> Iterator[Picture]:
    numbers = set(range(len(manifest.rows)))
    if part is not None:
        for run in runs:
            numbers &= set(_part_of(run, manifest, part))
    if not numbers:
        raise S4miError(f"{manifest.folder}: no image is in the {part} part of every run; choose with --split")
    for number in sorted(numbers):
        row = manifest.rows[number]
        yield Picture(
            path=row.image,
            name=row.id.replace("/", "_"),
            labels=row.labels,
            mask=row.mask,
            mask_values=manifest.spec.mask_values,
            synthetic=manifest.spec.synthetic,
        )


def _part_of(run: RunDir, manifest: Manifest, part: Part) -> tuple[int, ...]:
    try:
        return read_parts(run.split_path, manifest)[part]
    except S4miError as error:
        raise S4miError(
            f"{manifest.folder}: which of its images are the {part} part of {run.path} is not known ({error}); "
            "explain any of them with --split all"
        ) from error


def _flat(name: str) -> str:
    path = Path(name)
    return str(path.with_name(stem_of(path))).replace("/", "_")


def _refuse_same_names(pictures: Sequence[Picture]) -> None:
    seen: dict[str, Path] = {}
    for picture in pictures:
        if picture.name in seen:
            raise S4miError(
                f"{picture.path}: its overlays would overwrite those of {seen[picture.name]}; "
                "explain them into two folders"
            )
        seen[picture.name] = picture.path
