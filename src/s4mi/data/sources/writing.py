"""What every import does at its end: name the mask values, reference or copy the images, write the data set folder.

Images are referenced where they lie unless a copy is asked for. The reference (`root` in `dataset.yaml`) is relative
where the source lies below the folder that holds the data set, because the two then move together; anywhere else it is
absolute, so that moving the data set folder alone does not break it.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import ValidationError

from s4mi.data.images import ImageError, is_grey, mask_file_values
from s4mi.data.manifest import MANIFEST_NAME, Row, read_manifest, write_dataset
from s4mi.data.spec import SPEC_NAME, DatasetSpec, Finding
from s4mi.errors import S4miError
from s4mi.records import Part, TaskKind

S = TypeVar("S")
T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

PART_NAMES: Mapping[str, Part] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What people call the parts of a split."""

BACKGROUND = "background"


@dataclass(frozen=True)
class Found:
    """What a source holds, before anything is decoded.

    Attributes:
        folder: where the source lies; images and masks are usually below it.
        kind: how it is laid out, in words.
        rows: the images that can be used; `id` is still empty.
        classes: every class name, in the order of a classifier's outputs.
        findings: what is wrong or worth saying, with files relative to `folder`.
        multilabel: an image may show any number of classes.
    """

    folder: Path
    kind: str
    rows: tuple[Row, ...]
    classes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    multilabel: bool = False


@dataclass(frozen=True)
class Naming:
    """What a source does not say of itself."""

    name: str
    source: str = ""
    licence: str = ""
    foreground: str = "foreground"
    mask_values: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A data set folder that an import wrote, and what there is to say about it."""

    folder: Path
    spec: DatasetSpec
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]


def write_import(
    found: Found,
    destination: Path,
    *,
    naming: Naming,
    copy: bool = False,
    force: bool = False,
    skip_missing: bool = False,
    progress: Progress | None = None,
) -> Written:
    """Make a data set folder of what was found; the source is only read.

    Raises:
        S4miError: something found is an error, the destination is taken, or masks hold values nobody has named.
    """
    destination = destination.expanduser().resolve()
    say = progress or (lambda *_: None)
    _refuse_errors(found, skip_missing=skip_missing)
    _refuse_destination(found, destination, force=force)
    ids = _ids(found)
    rows = tuple(replace(row, id=name) for row, name in zip(found.rows, ids, strict=True))
    masks = [row.mask for row in rows if row.mask is not None]
    values, unread = scan_masks(masks, say=lambda done, of: say("reading masks", done, of))
    if masks and len(unread) == len(masks):
        raise S4miError(f"{unread[0]} (and so it is with all {len(masks)} masks)")
    mask_values = name_mask_values(values, naming=naming) if masks else {}
    spec = _spec(found, naming=naming, mask_values=mask_values, grey=_all_grey(rows))
    try:
        if copy:
            rows = _copied(rows, found.folder, destination=destination, say=say)
        else:
            spec = spec.model_copy(update={"root": _root(found.folder, destination)})
        write_dataset(destination, spec, rows)
    except OSError as error:
        raise S4miError(f"{destination}: cannot be written ({error}); make room, or name another folder") from error
    _, wrong = read_manifest(destination)
    wrong = [replace(finding, file=str(destination / finding.file)) for finding in wrong]
    return Written(destination, spec, rows, findings=(*found.findings, *unread, *wrong))


def tasks_of(found: Found) -> tuple[TaskKind, ...]:
    """What can be learnt from the annotations that were found: multiclass where every labelled row has one label."""
    tasks: list[TaskKind] = []
    labelled = [row.labels for row in found.rows if row.labels is not None]
    if labelled:
        single = not found.multilabel and all(len(labels) == 1 for labels in labelled)
        tasks.append("multiclass" if single else "multilabel")
    if any(row.mask is not None for row in found.rows):
        tasks.append("segmentation")
    return tuple(tasks)


def name_mask_values(values: Iterable[int], *, naming: Naming) -> dict[int, str]:
    """Pixel value → class name for masks that hold `values`.

    Masks with one value beside 0 need no names: 0 is background, the other one `naming.foreground`.

    Raises:
        S4miError: there are more values, or values that `naming.mask_values` leaves out.
    """
    present = sorted(set(values))
    shown = ", ".join(map(str, present[:8])) + (f", … ({len(present)} in all)" if len(present) > 8 else "")
    if naming.mask_values:
        if missing := sorted(set(present) - set(naming.mask_values)):
            raise S4miError(
                f"masks hold the values {shown}, and {', '.join(map(str, missing[:8]))} is not named; "
                f"add --mask-value {missing[0]}=NAME, or NAME 'ignore' for pixels without annotation"
            )
        return dict(sorted(naming.mask_values.items(), key=lambda pair: (pair[1] != BACKGROUND, pair[0])))
    inside = [value for value in present if value != 0]
    if len(inside) > 1:
        cure = (
            "name each: --mask-value 0=background " + " ".join(f"--mask-value {value}=NAME" for value in inside)
            if len(inside) <= 8
            else "re-export them with one number per class, in a format without loss"
        )
        raise S4miError(f"masks hold the values {shown}, so which is what is unclear; {cure}")
    return {0: BACKGROUND, (inside[0] if inside else 255): naming.foreground}


def in_threads(work: Callable[[S], T], items: Sequence[S], *, say: Callable[[int, int], None]) -> Iterator[T]:
    """`work` of every item, in order, on all cores; decoding and reading release the interpreter."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for number, result in enumerate(pool.map(work, items), start=1):
            say(number, len(items))
            yield result


def scan_masks(masks: Sequence[Path], *, say: Callable[[int, int], None]) -> tuple[set[int], list[Finding]]:
    """Every pixel value the masks hold, and the masks that cannot be read, as warnings."""

    def values_of(path: Path) -> tuple[int, ...] | ImageError:
        try:
            return mask_file_values(path)
        except ImageError as error:
            return error

    present: set[int] = set()
    unread: list[Finding] = []
    for path, values in zip(masks, in_threads(values_of, masks, say=say), strict=True):
        if isinstance(values, ImageError):
            message = f"mask {path.name!r} {values}"
            unread.append(Finding(code=values.code, severity="warning", file=str(path), line=None, message=message))
        else:
            present.update(values)
    return present, unread


def _refuse_errors(found: Found, *, skip_missing: bool) -> None:
    tolerated = {"missing-image", "missing-mask"} if skip_missing else set()
    errors = [finding for finding in found.findings if finding.severity == "error" and finding.code not in tolerated]
    if errors:
        more = f" (and {len(errors) - 1} more; see all with: s4mi data check {found.folder})" if len(errors) > 1 else ""
        raise S4miError(f"{found.folder / errors[0].place}: {errors[0].message}{more}")
    if not found.rows:
        raise S4miError(f"{found.folder}: no images to import; see what is there with: s4mi data check {found.folder}")


def _refuse_destination(found: Found, destination: Path, *, force: bool) -> None:
    if destination.is_relative_to(found.folder):
        raise S4miError(f"{destination}: lies inside the source, which stays untouched; name a folder outside with -o")
    taken = [name for name in (SPEC_NAME, MANIFEST_NAME) if (destination / name).exists()]
    if taken and not force:
        raise S4miError(f"{destination}: holds a {taken[0]} already; name another folder, or replace it with --force")


def _ids(found: Found) -> list[str]:
    """The shortest of stem, path without ending and whole path that tells all images apart."""
    paths = [_below(row.image, found.folder) for row in found.rows]
    stems = [path.stem for path in paths]
    unended = [path.with_suffix("").as_posix() for path in paths]
    for names in (stems, unended):
        if len(set(names)) == len(names):
            return names
    return [path.as_posix() for path in paths]


def _below(path: Path, folder: Path) -> PurePosixPath:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path.relative_to(path.anchor)
    return PurePosixPath(inside.as_posix())


def _all_grey(rows: Sequence[Row]) -> bool:
    def grey(path: Path) -> bool | None:
        try:
            return is_grey(path)
        except ImageError:
            return None

    answers = set(in_threads(grey, [row.image for row in rows], say=lambda *_: None))
    return answers - {None} == {True}


def _spec(found: Found, *, naming: Naming, mask_values: dict[int, str], grey: bool) -> DatasetSpec:
    try:
        return DatasetSpec(
            name=naming.name,
            tasks=tasks_of(found),
            classes=found.classes,
            mask_values=mask_values,
            channels="grey" if grey else "rgb",
            source=naming.source,
            licence=naming.licence,
        )
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        seen = f" (found: {', '.join(found.classes) or 'none'})" if "classes" in message else ""
        raise S4miError(f"{found.folder}: {message}{seen}") from error


def _root(source: Path, destination: Path) -> str:
    if source.is_relative_to(destination.parent):
        return Path(os.path.relpath(source, destination)).as_posix()
    return source.as_posix()


def _copied(rows: Sequence[Row], source: Path, *, destination: Path, say: Progress) -> tuple[Row, ...]:
    """Copy what the rows name to `images/` and `masks/`; a file that is there in its full size is not copied again."""
    images = _targets([row.image for row in rows], source, folder=destination / "images")
    masks = _targets([row.mask for row in rows if row.mask is not None], source, folder=destination / "masks")
    pairs = [*images.items(), *masks.items()]
    list(in_threads(lambda path: _copy(path, images.get(path) or masks[path]), [path for path, _ in pairs],
                    say=lambda done, of: say("copying", done, of)))  # fmt: skip
    return tuple(
        replace(row, image=images[row.image], mask=None if row.mask is None else masks[row.mask]) for row in rows
    )


def _targets(paths: Sequence[Path], source: Path, *, folder: Path) -> dict[Path, Path]:
    whole = {path: _below(path, source) for path in paths}
    # `train/images/a.png` becomes `images/train/a.png`, unless that would lay two files on one place.
    short = {
        path: PurePosixPath(*(part for part in place.parts if part != folder.name)) for path, place in whole.items()
    }
    places = short if len(set(short.values())) == len(short) else whole
    return {path: folder / place for path, place in places.items()}


def _copy(path: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == path.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as room:
        shutil.copyfile(path, Path(room) / target.name)
        (Path(room) / target.name).replace(target)
