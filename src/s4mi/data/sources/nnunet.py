"""Import a data set in the raw format of nnU-Net (Isensee et al. 2021), versions 1 and 2.

SRC/dataset.json                          names of channels and labels, file ending
SRC/imagesTr/CASE_0000.nii.gz             a file per channel: _0000, _0001, …; RGB images are one file
SRC/labelsTr/CASE.nii.gz                  masks whose values are those of the labels
SRC/imagesTs/ (+ labelsTs/)               test images
SRC/splits_final.json                     [{"train": [CASE, …], "val": […]}, …], one entry per fold
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.sources.patient_pattern import group_by_name
from s4mi.data.sources.types import FoundDataset
from s4mi.data.sources.unused_options import refuse_unused
from s4mi.data.spec import IGNORED_CLASS, Finding
from s4mi.data.walk import visible_files
from s4mi.errors import S4miError, nearest
from s4mi.formatting import is_whole, plural
from s4mi.home import expanded
from s4mi.records import Part
from s4mi.records.plain import load_json

DATASET, SPLITS = "dataset.json", "splits_final.json"
BACKGROUND = "background"
CHANNEL = re.compile(r"(.+)_([0-9]{4})")
MAX_CHANNELS = 3
SHOWN = 120
"""Characters of a reason that a message repeats."""


@dataclass(frozen=True)
class NnunetOptions:
    """Which channels and which fold to import.

    Attributes:
        channels: names or numbers of up to three channels, shown as grey, or as red, green and blue; empty if a case is
            one file.
        fold: fold of `splits`, whose `val` cases become the validation part; None: no fold.
        splits: file of the folds, by default `splits_final.json` in the source.
        group_pattern: regular expression whose group 1 is the patient, searched in file names.
    """

    channels: tuple[str, ...] = ()
    fold: int | None = None
    splits: Path | None = None
    group_pattern: str = ""


@dataclass(frozen=True)
class NnunetDataset:
    """The images and masks of the data set, and the class of each mask value."""

    found: FoundDataset
    mask_values: Mapping[int, str]


@dataclass(frozen=True)
class _Description:
    """The contents of `dataset.json`."""

    channels: tuple[str, ...]
    labels: Mapping[int, str]
    ending: str
    regions: bool


def is_nnunet(source: Path) -> bool:
    """Whether `source` is a folder in the raw format."""
    return source.is_dir() and (source / DATASET).is_file() and (source / "imagesTr").is_dir()


def separate_channels(source: Path) -> bool:
    """Whether cases have a file per channel, of which an import needs to know which.

    Raises:
        S4miError: `dataset.json` is invalid.
    """
    return any(len(files) > 1 for files in _cases(source / "imagesTr", _describe(source / DATASET)).values())


def read_nnunet(source: Path, options: NnunetOptions | None = None) -> NnunetDataset:
    """Find the cases with their channels, masks and parts.

    Raises:
        S4miError: `dataset.json` or the file of folds is invalid, or a channel, fold or folder does not exist.
    """
    options = options or NnunetOptions()
    source = expanded(source).resolve()
    if not is_nnunet(source):
        raise S4miError(f"{source}: no {DATASET} and imagesTr; pass the folder DatasetXXX_Name of nnUNet_raw")
    described = _describe(source / DATASET)
    findings: list[Finding] = []
    if described.regions:
        message = (
            "labels are regions that overlap: each pixel value is named after the smallest region that contains it"
        )
        findings.append(Finding("nnunet-regions", "note", DATASET, None, message))
    part_of = _fold(source, options, findings)
    rows: list[Row] = []
    channels: dict[Path, tuple[Path, ...]] = {}
    has_test = (source / "labelsTs").is_dir()
    for folder, masks in (("imagesTr", "labelsTr"), ("imagesTs", "labelsTs")):
        cases = _cases(source / folder, described)
        if folder == "imagesTs" and cases and not has_test:
            message = f"{plural(len(cases), 'case')} of imagesTs without labelsTs left out; import the folder by itself"
            findings.append(Finding("nnunet-test", "note", folder, None, message))
            continue
        mask_of = {_stem(path, described.ending): path for path in _files(source / masks, described.ending)}
        for case, files in cases.items():
            first, *others = _chosen(files, described.channels, options.channels, case=case, folder=source / folder)
            part: Part | None = "test" if folder == "imagesTs" else part_of.get(case, "train" if has_test else None)
            rows.append(Row("", first, mask_of.get(case), labels=None, group=None, split=part, line=0))
            if others:
                channels[first] = tuple(others)
        findings += _unmatched(cases, mask_of, folder=masks)
    if not rows:
        raise S4miError(f"{source / 'imagesTr'}: no files with the ending {described.ending}; correct {DATASET}")
    findings += _not_in_fold(rows, part_of, described)
    if options.group_pattern:
        rows, group_findings = group_by_name(rows, options.group_pattern, source=source)
        findings += group_findings
    found = FoundDataset(source, "an nnU-Net data set", tuple(rows), findings=tuple(findings), channels=channels)
    return NnunetDataset(found, described.labels)


def _describe(path: Path) -> _Description:
    content = _json(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise S4miError(f"{path}: no 'labels'; pass the {DATASET} of an nnU-Net data set")
    channels = content.get("channel_names") or content.get("modality") or {"0": "image"}
    try:
        names = tuple(str(channels[key]) for key in sorted(channels, key=int))
        return _description(content, labels, names, path)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:SHOWN]
        raise S4miError(f"{path}: its channels or labels are not numbers with names ({reason}); correct it") from error


def _description(
    content: Mapping[str, Any], labels: Mapping[str, Any], names: tuple[str, ...], path: Path
) -> _Description:
    regions = any(isinstance(value, list) for value in labels.values())
    if regions:
        values = _values_of_regions(labels, path)
    elif all(is_whole(str(key)) for key in labels):  # version 1: {"0": "background"}
        values = {int(key): str(name) for key, name in labels.items()}
    else:
        values = {int(value): str(name) for name, value in labels.items()}
    values = {
        value: BACKGROUND if value == 0 else IGNORED_CLASS if name.lower() == "ignore" else name
        for value, name in sorted(values.items())
    }
    return _Description(names, values, str(content.get("file_ending", ".nii.gz")), regions)


def _values_of_regions(labels: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Return the name of each value: of the regions that contain it, the one with the fewest values."""
    found: dict[int, str] = {}
    for name, values in sorted(labels.items(), key=lambda pair: -len(pair[1]) if isinstance(pair[1], list) else -1):
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, int):
                raise S4miError(f"{path}: label {name!r} holds {value!r}, not a number; correct it")
            found[value] = name
    if len(set(found.values())) < len(found):
        one = next(name for name in found.values() if list(found.values()).count(name) > 1)
        values_of = ", ".join(str(value) for value, name in found.items() if name == one)
        raise S4miError(f"{path}: the values {values_of} are in no region but {one!r}; name each with --mask-value")
    return found


def _cases(folder: Path, described: _Description) -> dict[str, dict[int, Path]]:
    """Return the files of every case by the number of their channel."""
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in _files(folder, described.ending):
        name = _stem(path, described.ending)
        match = CHANNEL.fullmatch(name)
        case, number = (match.group(1), int(match.group(2))) if match else (name, 0)
        cases[case][number] = path
    return dict(sorted(cases.items()))


def _chosen(
    files: Mapping[int, Path], names: Sequence[str], asked: Sequence[str], *, case: str, folder: Path
) -> list[Path]:
    """Return the files of the channels that are asked for.

    Raises:
        S4miError: none is asked for, though there are several, or one does not exist.
    """
    if not asked and len(files) == 1:
        return list(files.values())
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    if not asked or len(asked) > MAX_CHANNELS:
        raise S4miError(
            f"{folder}: a case has {plural(len(files), 'file')}, one per channel ({listed}); choose one with --channel "
            f"{names[0] if names else 0}, or up to three, which become red, green and blue"
        )
    chosen = []
    for word in asked:
        number = int(word) if is_whole(word) else names.index(word) if word in names else None
        if number is None:
            raise S4miError(f"--channel {word!r}: no such channel{nearest(word, names) or f'; use one of {listed}'}")
        if number not in files:
            raise S4miError(f"{folder}: case {case!r} has no file of channel {number}; add it, or remove the case")
        chosen.append(files[number])
    return chosen


def _fold(source: Path, options: NnunetOptions, findings: list[Finding]) -> dict[str, Part]:
    """Return the part of every case in the chosen fold."""
    path = options.splits or source / SPLITS
    if options.fold is None:
        refuse_unused({"--splits": options.splits}, because="without --fold", hint="choose a fold of it with --fold N")
        if path.is_file():
            message = "holds folds; pass --fold 0 to take the train and val cases of one as the official split"
            findings.append(Finding("nnunet-fold", "note", path.name, None, message))
        return {}
    if not path.is_file():
        raise S4miError(f"{path}: does not exist; pass the {SPLITS} of nnUNet_preprocessed with --splits")
    folds = _json(path)
    if not isinstance(folds, list) or options.fold >= len(folds):
        count = len(folds) if isinstance(folds, list) else 0
        raise S4miError(f"--fold {options.fold}: {path} has {plural(count, 'fold')}, counted from 0; choose another")
    fold = folds[options.fold]
    parts: dict[str, Part] = {str(case): "train" for case in fold.get("train", ())}
    return parts | {str(case): "val" for case in fold.get("val", ())}


def _not_in_fold(rows: Sequence[Row], part_of: Mapping[str, Part], described: _Description) -> list[Finding]:
    if not part_of:
        return []
    missing = [row.image.name for row in rows if row.split != "test" and _case(row, described) not in part_of]
    if not missing:
        return []
    message = (
        f"{plural(len(missing), 'case')} in neither part of the fold: {some(missing)}; use the file of this data set"
    )
    return [Finding("nnunet-fold", "error", SPLITS, None, message)]


def _case(row: Row, described: _Description) -> str:
    name = _stem(row.image, described.ending)
    match = CHANNEL.fullmatch(name)
    return match.group(1) if match else name


def _unmatched(cases: Mapping[str, object], mask_of: Mapping[str, Path], *, folder: str) -> list[Finding]:
    findings = []
    if without := [case for case in cases if case not in mask_of]:
        message = f"{plural(len(without), 'case')} without a mask, so not annotated: {some(without)}"
        findings.append(Finding("no-mask", "note", folder, None, message))
    if unused := [path.name for case, path in mask_of.items() if case not in cases]:
        message = f"{plural(len(unused), 'mask')} without an image: {some(unused)}; add the images, or remove them"
        findings.append(Finding("mask-without-image", "warning", folder, None, message))
    return findings


def _files(folder: Path, ending: str) -> list[Path]:
    return [path for path in visible_files(folder) if path.name.endswith(ending)] if folder.is_dir() else []


def _stem(path: Path, ending: str) -> str:
    return path.name.removesuffix(ending)


def _json(path: Path) -> Any:
    try:
        return load_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise S4miError(f"{path}: not valid JSON ({error}); write it again") from error
