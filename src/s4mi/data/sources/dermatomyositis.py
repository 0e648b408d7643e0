"""Import a dermatomyositis data set: multi-page TIFF stacks of stained tissue, a table of labels, masks of cells.

A stack contains one full-size page per stain, and an RGB page of autofluorescence (S4MI section 4.1: 198 stacks of 8
stains from 7 patients). Classification uses the RGB page (352×469), segmentation the page of the DAPI stain
(1408×1876), whose nuclei are annotated in the masks. The patient is the beginning of the file name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from s4mi.data.files import stem_of
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import ImageError
from s4mi.data.parallel import in_parallel
from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import AffixPattern, Matches, match, some
from s4mi.data.sources.patient_pattern import group_by_name
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.suggest import suggest_options
from s4mi.data.sources.table import labels_of
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.data.sources.unused_options import refuse_unused
from s4mi.data.spec import Finding
from s4mi.data.walk import image_files
from s4mi.errors import S4miError, nearest
from s4mi.formatting import is_whole, plural
from s4mi.home import expanded

CLASSES = ("TFH-1", "TFH-217", "TFH-Like", "B cells", "others")
DAPI = "DAPI"
FIRST_TOKEN = r"^([^_\-. ]+)"


@dataclass(frozen=True)
class StackOptions:
    """Pages and annotation to import from the stacks.

    Attributes:
        task: classification imports the RGB page, segmentation that of DAPI, unless `page` is set.
        page: name of a stain, or page number from 0.
        labels: table with a column `image` (or another of file names) and a column of 0 and 1 per class.
        masks: folder of masks, relative to the source, in which no stacks are looked for.
        mask_suffix: suffix of mask names, which stacks lack.
        group_pattern: regular expression whose group 1 is the patient, searched in file names.
    """

    task: Literal["classification", "segmentation"] = "classification"
    page: str = ""
    labels: Path | None = None
    masks: str = "masks"
    mask_suffix: str = ""
    group_pattern: str = FIRST_TOKEN


@dataclass(frozen=True)
class _PageChoice:
    """The page of a stack to import, or the error for which there is none."""

    number: int = 0
    error: str = ""


def read_dermatomyositis(source: Path, options: StackOptions | None = None) -> FoundDataset:
    """Find the stacks, and for each the page to import and its labels or mask.

    Raises:
        S4miError: there are no stacks, none has the page, an option is that of the other task, or the table cannot be
            read.
    """
    options = options or StackOptions()
    if options.task == "segmentation":
        refuse_of_task({"--labels": options.labels}, task=options.task)
    else:
        refuse_of_task({"--mask-suffix": options.mask_suffix}, task=options.task)
    source = expanded(source).resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: not a folder; pass the folder that contains the TIFF stacks")
    mask_root = source / options.masks
    stacks = [
        path for path in image_files(source)
        if path.suffix.lower() in tiff.SUFFIXES and not path.is_relative_to(mask_root)
    ]  # fmt: skip
    if not stacks:
        raise S4miError(f"{source}: no TIFF stacks; pass the folder that contains them")
    rows, embedded, findings = _pages(stacks, options)
    united: Mapping[Path, tuple[Path, ...]] = {}
    if options.task == "segmentation":
        rows, matches = _with_masks(rows, embedded, source=source, mask_root=mask_root, suffix=options.mask_suffix)
        more, united = matches.findings, matches.further
    else:
        rows, more = _with_labels(rows, embedded, source=source, table=options.labels)
    findings += more
    rows, more = group_by_name(rows, options.group_pattern, source=source)
    findings += more
    classes = CLASSES if options.task == "classification" else ()
    if additional := {name for row in rows for name in row.labels or ()} - set(classes):
        classes = (*classes, *sorted(additional))
    return FoundDataset(
        folder=source, kind=f"stacks of stains, for {options.task}", rows=tuple(rows), classes=classes,
        findings=tuple(findings), multilabel=options.task == "classification", embedded=embedded, united=united,
    )  # fmt: skip


def refuse_of_task(given: Mapping[str, object], *, task: str) -> None:
    """Raise S4miError for an option that was given, though it has an effect with the other task alone."""
    other = "classification" if task == "segmentation" else "segmentation"
    refuse_unused(given, because=f"with --task {task}", hint=f"use --task {other}")


def _pages(stacks: Sequence[Path], options: StackOptions) -> tuple[list[Row], dict[Path, EmbeddedImage], list[Finding]]:
    """Return a row for each stack that has the page."""
    rows, embedded, findings = [], {}, []
    choose = partial(_choose, page=options.page, rgb=options.task == "classification")
    for stack, choice in zip(stacks, in_parallel(choose, stacks), strict=True):
        if choice.error:
            findings.append(Finding("no-page", "warning", stack.name, None, choice.error))
            continue
        image = stack / f"{stem_of(stack)}.png"
        embedded[image] = EmbeddedImage(stack, frame=choice.number, page=True)
        rows.append(Row("", image, None, labels=None, group=None, split=None, line=0))
    if not rows:
        raise S4miError(f"{stacks[0]}: {findings[0].message}")
    return rows, embedded, findings


def _choose(stack: Path, *, page: str, rgb: bool) -> _PageChoice:
    try:
        pages = tiff.pages(stack)
    except ImageError as error:
        return _PageChoice(error=f"stack {stack.name!r} {error}")
    if page.isdecimal():
        if is_whole(page) and int(page) < len(pages):
            return _PageChoice(int(page))
        count = plural(len(pages), "page")
        return _PageChoice(error=f"stack {stack.name!r} has {count}, numbered from 0; change --page ({page})")
    if rgb and not page:
        found = next((one.number for one in pages if one.channels == 3), None)
        if found is not None:
            return _PageChoice(found)
        return _PageChoice(error=f"stack {stack.name!r} has no RGB page ({_listed(pages)}); choose one with --page")
    name = page or DAPI
    found = next((one.number for one in pages if name.lower() in one.name.lower().replace(",", " ").split()), None)
    found = next((one.number for one in pages if one.name.lower() == name.lower()), found)
    if found is not None:
        return _PageChoice(found)
    names = [one.name for one in pages if one.name]
    hint = nearest(name, names) or "; choose one by name or number with --page"
    return _PageChoice(error=f"stack {stack.name!r} has no page named {name!r} ({_listed(pages)}){hint}")


def _listed(pages: Sequence[tiff.Page]) -> str:
    return ", ".join(f"{one.number} {one.name or 'unnamed'} {one.height}×{one.width}" for one in pages)


def _with_masks(
    rows: Sequence[Row], embedded: dict[Path, EmbeddedImage], *, source: Path, mask_root: Path, suffix: str
) -> tuple[list[Row], Matches]:
    if not mask_root.is_dir():
        raise S4miError(f"{mask_root}: does not exist; set the folder of masks with --masks")
    stacks = [embedded[row.image].file for row in rows]
    masks = image_files(mask_root)
    matches = match(
        stacks, masks, image_roots=[source], mask_roots=[mask_root], naming=AffixPattern(mask_suffix=suffix)
    )  # fmt: skip
    masked = [
        Row(row.id, row.image, matches.mask_of.get(stack), labels=None, group=None, split=None, line=0)
        for row, stack in zip(rows, stacks, strict=True)
    ]
    return masked, matches


def _with_labels(
    rows: Sequence[Row], embedded: dict[Path, EmbeddedImage], *, source: Path, table: Path | None
) -> tuple[list[Row], list[Finding]]:
    if table is None:
        return list(rows), []
    path = expanded(table) if table.is_absolute() or table.exists() else source / table
    contents = read_table(path)
    columns = [name for name in contents.columns if name in CLASSES]
    image = suggest_options(contents).image if "image" not in contents.columns else None
    options = TableOptions(image=image, one_hot=tuple(columns), multilabel=True)
    if not columns and "label" not in contents.columns:
        raise S4miError(f"{path}:1: no column 'label' and none of {', '.join(CLASSES)}; rename the columns")
    labels, findings = labels_of(contents, options, source=path.parent)
    labelled, without = [], []
    for row in rows:
        stack = embedded[row.image].file
        key = next((name for name in (stack.name, stem_of(stack)) if name in labels), None)
        if key is None:
            without.append(stack.name)
        labelled.append(
            Row(row.id, row.image, None, labels=labels.get(key or ""), group=None, split=None, line=0)
        )  # fmt: skip
    if without:
        message = (
            f"{plural(len(without), 'stack')} missing in {path.name}, so not annotated: {some(without)}; add their rows"
        )
        findings.append(Finding("no-label", "warning", path.name, None, message))
    return labelled, findings
