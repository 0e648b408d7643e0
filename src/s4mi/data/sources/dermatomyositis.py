"""Import a dermatomyositis set: multi-page TIFF stacks of stained tissue, a table of labels, masks of cells.

A stack holds a page for each stain, as large as the scanner made it, and an RGB page of autofluorescence (S4MI section
4.1: 198 stacks of 8 stains from 7 patients). Classification looks at the RGB page (352×469), segmentation at the page
of the DAPI stain (1408×1876), whose nuclei the masks show. The patient is the beginning of the file's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from s4mi.data.files import stem_of
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import ImageError
from s4mi.data.manifest import Row
from s4mi.data.parallel import in_parallel
from s4mi.data.sources.folder import image_files
from s4mi.data.sources.pair_by_name import AffixPattern, match, some
from s4mi.data.sources.patient_pattern import group_by_name
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.suggest import suggest_options
from s4mi.data.sources.table import TableOptions, labels_of
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.data.spec import Finding
from s4mi.errors import S4miError, nearest

CLASSES = ("TFH-1", "TFH-217", "TFH-Like", "B cells", "others")
DAPI = "DAPI"
FIRST_TOKEN = r"^([^_\-. ]+)"


@dataclass(frozen=True)
class StackOptions:
    """What to take from the stacks.

    Attributes:
        task: classification takes the RGB page, segmentation that of DAPI, unless `page` says another.
        page: name of a stain, or a page's number from 0.
        labels: table with a column `image` (or the only one that holds file names) and a column of 0 and 1 per class.
        masks: folder of masks, relative to the source; `mask_suffix` is what their names add to the stacks'.
        group_pattern: regular expression whose group 1, searched in the file's name, is the patient.
    """

    task: Literal["classification", "segmentation"] = "classification"
    page: str = ""
    labels: Path | None = None
    masks: str = "masks"
    mask_suffix: str = ""
    group_pattern: str = FIRST_TOKEN


@dataclass(frozen=True)
class _Chosen:
    """The page of a stack, or why there is none."""

    number: int = 0
    trouble: str = ""


def read_dermatomyositis(source: Path, options: StackOptions | None = None) -> FoundDataset:
    """Find the stacks, the page wanted of each, its labels or its mask.

    Raises:
        S4miError: no stacks, no such page, or a table that cannot be read.
    """
    options = options or StackOptions()
    source = source.expanduser().resolve()
    if not source.is_dir():
        raise S4miError(f"{source}: is not a folder; name the one that holds the TIFF stacks")
    mask_root = source / options.masks
    stacks = [
        path for path in image_files(source)
        if path.suffix.lower() in tiff.SUFFIXES and not path.is_relative_to(mask_root)
    ]  # fmt: skip
    if not stacks:
        raise S4miError(f"{source}: holds no TIFF stacks; name the folder that does")
    rows, extracts, findings = _pages(stacks, options)
    if options.task == "segmentation":
        rows, wrong = _with_masks(rows, extracts, source=source, mask_root=mask_root, suffix=options.mask_suffix)
    else:
        rows, wrong = _with_labels(rows, extracts, source=source, table=options.labels)
    findings += wrong
    rows, wrong = group_by_name(rows, options.group_pattern, source=source)
    classes = CLASSES if options.task == "classification" else ()
    if shown := {name for row in rows for name in row.labels or ()} - set(classes):
        classes = (*classes, *sorted(shown))
    return FoundDataset(
        folder=source, kind=f"stacks of stains, for {options.task}", rows=tuple(rows), classes=classes,
        findings=(*findings, *wrong), multilabel=options.task == "classification", extracts=extracts,
    )  # fmt: skip


def _pages(stacks: Sequence[Path], options: StackOptions) -> tuple[list[Row], dict[Path, EmbeddedImage], list[Finding]]:
    """A row for each stack that has the page."""
    rows, extracts, findings = [], {}, []
    choose = partial(_choose, page=options.page, rgb=options.task == "classification")
    for stack, chosen in zip(stacks, in_parallel(choose, stacks), strict=True):
        if chosen.trouble:
            findings.append(Finding("no-page", "warning", stack.name, None, chosen.trouble))
            continue
        picture = stack / f"{stem_of(stack)}.png"
        extracts[picture] = EmbeddedImage(stack, frame=chosen.number, page=True)
        rows.append(Row("", picture, None, labels=None, group=None, split=None, line=0))
    if not rows:
        raise S4miError(f"{stacks[0]}: {findings[0].message}")
    return rows, extracts, findings


def _choose(stack: Path, *, page: str, rgb: bool) -> _Chosen:
    try:
        pages = tiff.pages(stack)
    except ImageError as error:
        return _Chosen(trouble=f"stack {stack.name!r} {error}")
    if page.isdecimal():
        if int(page) < len(pages):
            return _Chosen(int(page))
        return _Chosen(trouble=f"stack {stack.name!r} has {len(pages)} pages; count --page from 0")
    if rgb and not page:
        found = next((one.number for one in pages if one.channels == 3), None)
        if found is not None:
            return _Chosen(found)
        return _Chosen(trouble=f"stack {stack.name!r} has no RGB page ({_listed(pages)}); name one with --page")
    wanted = page or DAPI
    found = next((one.number for one in pages if wanted.lower() in one.name.lower().replace(",", " ").split()), None)
    found = next((one.number for one in pages if one.name.lower() == wanted.lower()), found)
    if found is not None:
        return _Chosen(found)
    names = [one.name for one in pages if one.name]
    hint = nearest(wanted, names) or "; name one, or its number, with --page"
    return _Chosen(trouble=f"stack {stack.name!r} has no page called {wanted!r} ({_listed(pages)}){hint}")


def _listed(pages: Sequence[tiff.Page]) -> str:
    return ", ".join(f"{one.number} {one.name or 'unnamed'} {one.height}×{one.width}" for one in pages)


def _with_masks(
    rows: Sequence[Row], extracts: dict[Path, EmbeddedImage], *, source: Path, mask_root: Path, suffix: str
) -> tuple[list[Row], list[Finding]]:
    if not mask_root.is_dir():
        raise S4miError(f"{mask_root}: is not there; name the folder of masks with --masks")
    stacks = [extracts[row.image].file for row in rows]
    masks = image_files(mask_root)
    mask_of, findings = match(
        stacks, masks, image_root=source, mask_root=mask_root, naming=AffixPattern(mask_suffix=suffix)
    )  # fmt: skip
    made = [
        Row(row.id, row.image, mask_of.get(stack), labels=None, group=None, split=None, line=0)
        for row, stack in zip(rows, stacks, strict=True)
    ]
    return made, findings


def _with_labels(
    rows: Sequence[Row], extracts: dict[Path, EmbeddedImage], *, source: Path, table: Path | None
) -> tuple[list[Row], list[Finding]]:
    if table is None:
        return list(rows), []
    path = table.expanduser() if table.is_absolute() or table.exists() else source / table
    contents = read_table(path)
    columns = [name for name in contents.columns if name in CLASSES]
    image = suggest_options(contents).image if "image" not in contents.columns else None
    options = TableOptions(image=image, one_hot=tuple(columns))
    if not columns and "label" not in contents.columns:
        raise S4miError(f"{path}:1: has neither a column 'label' nor one of {', '.join(CLASSES)}; rename its columns")
    labels, findings = labels_of(contents, options, source=path.parent)
    made, without = [], []
    for row in rows:
        stack = extracts[row.image].file
        key = next((name for name in (stack.name, stem_of(stack)) if name in labels), None)
        if key is None:
            without.append(stack.name)
        made.append(
            Row(row.id, row.image, None, labels=labels.get(key or ""), group=None, split=None, line=0)
        )  # fmt: skip
    if without:
        message = (
            f"{len(without)} stacks are not in {path.name}: {some(without)}; add them, or they count as not annotated"
        )
        findings.append(Finding("no-label", "warning", path.name, None, message))
    return made, findings
