"""An erasure moves nobody between training, validation and test, and no label into or out of a fraction."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s4mi.data.erase import erase_from_dataset, plan_erasure
from s4mi.data.erased import ERASED_NAME
from s4mi.data.known_version import known_version
from s4mi.data.manifest import Manifest, write_dataset
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.row import PARTS
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.label_budget import LabelBudget
from s4mi.data.splits.split import SplitMethod, first_labels, fraction_order, make_split
from s4mi.data.splits.split_file import Split, save_split
from s4mi.data.splits.split_version import base_version
from s4mi.data.versions import load_version, write_version
from s4mi.errors import S4miError
from s4mi.records import TaskKind

METHODS = {
    "random": SplitMethod(seed=1),
    "kfold": SplitMethod("kfold", folds=4, fold=2, seed=1),
    "test_seed": SplitMethod(seed=1, test_seed=7),
    "official": SplitMethod("official", seed=1),
}


@pytest.fixture
def lesions_of_patients(tmp_path: Path) -> Path:
    """90 drawn lesions of patients whose number of images and classes differ."""
    folder = tmp_path / "data"
    full = write_synthetic("lesions", folder, count=90, size=32, seed=3)
    groups = [f"P{number % 31 if number % 3 else number % 7}" for number in range(len(full.rows))]
    write_dataset(folder, full.spec, [replace(row, group=group) for row, group in zip(full.rows, groups, strict=True)])
    return folder


def _erase(folder: Path, patient: str) -> set[str]:
    plan = plan_erasure(folder, patient, folder / "no-cache")
    erase_from_dataset(folder, plan)
    return {*plan.ids}


def _drawn(
    manifest: Manifest, task: TaskKind, method: SplitMethod, amount: str, *, hold_out: float | None = None
) -> tuple[Split, dict[str, set[str]]]:
    shares, shows = _shares(manifest, task)
    budget = None if hold_out is None else LabelBudget(hold_out, shows, shares)
    base = base_version(manifest, task, method, foreground=shares)
    split = make_split(
        manifest, task, method=method, amount=LabelAmount.parse(amount), fraction_seed=5, foreground=shares, base=base,
        budget=budget,
    )  # fmt: skip
    ids: dict[str, set[str]] = {part: {manifest.rows[row].id for row in split.rows(part)} for part in PARTS}
    return split, {**ids, "labelled": {manifest.rows[row].id for row in split.labelled}}


def _shares(manifest: Manifest, task: TaskKind) -> tuple[list[float] | None, Any]:
    if task != "segmentation":
        classes = manifest.spec.classes
        return None, np.array([[name in (row.labels or ()) for name in classes] for row in manifest.rows])
    masks = [None if row.mask is None else read_mask(row.mask, manifest.spec.mask_values) for row in manifest.rows]
    shows = np.array([[mask is not None and bool((mask == k).any()) for k in range(2)] for mask in masks])
    return [0.0 if mask is None else foreground_share(mask) for mask in masks], shows


def _without_labels(folder: Path) -> None:
    """Keep the masks alone, so that they are stratified by size."""
    manifest = load_version(folder)
    spec = manifest.spec.model_copy(update={"tasks": ("segmentation",), "classes": ()})
    write_dataset(folder, spec, [replace(row, labels=None) for row in manifest.rows])


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", ["multiclass", "segmentation"])
def test_everybody_else_stays_where_they_were(lesions_of_patients: Path, method: str, task: TaskKind) -> None:
    folder = lesions_of_patients
    if task == "segmentation":
        _without_labels(folder)
    if method == "official":
        manifest = load_version(folder)
        parts = ["test" if row.group in ("P1", "P2", "P4") else "train" for row in manifest.rows]
        write_dataset(
            folder, manifest.spec, [replace(row, split=part) for row, part in zip(manifest.rows, parts, strict=True)]  # type: ignore[arg-type]
        )  # fmt: skip
    amounts = ("100", "40", "15 images", "5 patients")
    before = {amount: _drawn(load_version(folder), task, METHODS[method], amount) for amount in amounts}
    gone: set[str] = set()
    for patient in ("P3", "P10", "P1"):  # a second erasure finds the places of the first
        gone |= _erase(folder, patient)
        manifest = load_version(folder)
        for amount in amounts:
            was, is_now = before[amount], _drawn(manifest, task, METHODS[method], amount)
            assert is_now[1] == {part: ids - gone for part, ids in was[1].items()}
    assert gone & before["100"][1]["train"]
    (folder / ERASED_NAME).unlink()
    drawn_anew = _drawn(load_version(folder), task, METHODS[method], "40")[1]
    assert drawn_anew != {part: ids - gone for part, ids in before["40"][1].items()}


@pytest.mark.long
@pytest.mark.parametrize("task", ["multiclass", "segmentation"])
def test_labels_that_are_held_out_of_a_budget_stay_so(lesions_of_patients: Path, task: TaskKind) -> None:
    folder = lesions_of_patients
    if task == "segmentation":
        _without_labels(folder)
    before = _drawn(load_version(folder), task, METHODS["random"], "40", hold_out=0.25)[1]
    assert before["val"]
    gone = set.union(*(_erase(folder, patient) for patient in ("P3", "P8")))
    after = _drawn(load_version(folder), task, METHODS["random"], "40", hold_out=0.25)[1]
    assert after == {part: ids - gone for part, ids in before.items()}


def test_versions_that_were_merged_before_and_after_an_erasure_keep_their_split(lesions_of_patients: Path) -> None:
    folder = lesions_of_patients
    first = load_version(folder)
    write_dataset(folder, first.spec, [replace(row, labels=row.labels if n % 2 else None)
                                       for n, row in enumerate(first.rows)])  # fmt: skip
    method = METHODS["random"]
    partial = load_version(folder)
    of_first = _drawn(partial, "multiclass", method, "100")[1]
    write_version(partial, partial.spec, [replace(row, labels=row.labels if n % 3 else first.rows[n].labels)
                                          for n, row in enumerate(partial.rows)])  # fmt: skip
    of_second = _drawn(load_version(folder), "multiclass", method, "50")[1]
    gone = _erase(folder, "P10")
    assert _drawn(load_version(folder, 1), "multiclass", method, "100")[1] == {p: i - gone for p, i in of_first.items()}
    assert _drawn(load_version(folder), "multiclass", method, "50")[1] == {p: i - gone for p, i in of_second.items()}
    second = load_version(folder)
    labels = {row.id: row.labels for row in first.rows}
    write_version(second, second.spec, [replace(row, labels=labels[row.id]) for row in second.rows])
    third = _drawn(load_version(folder), "multiclass", method, "100")[1]
    assert {part: third[part] for part in PARTS} == {part: of_first[part] - gone for part in PARTS}


def test_label_fractions_of_a_split_are_those_of_runs(lesions_of_patients: Path) -> None:
    _erase(lesions_of_patients, "P3")
    manifest = load_version(lesions_of_patients)
    whole, _ = _drawn(manifest, "multiclass", METHODS["random"], "100")
    order = fraction_order(manifest, "multiclass", whole, foreground=None, seed=5)
    for amount in ("10", "20 images", "4 patients"):
        of_run, _ = _drawn(manifest, "multiclass", METHODS["random"], amount)
        rows = first_labels(manifest, order, LabelAmount.parse(amount))
        assert tuple(sorted(row for row in rows if row < len(manifest.rows))) == of_run.labelled


def test_a_saved_split_from_before_may_list_as_many_others_as_were_erased(lesions_of_patients: Path) -> None:
    folder = lesions_of_patients
    manifest = load_version(folder)
    drawn, before = _drawn(manifest, "multiclass", METHODS["random"], "100")
    file = folder.parent / "split.json"
    save_split(drawn, manifest, file)
    gone = _erase(folder, "P10")
    saved = SplitMethod("file", file=file)
    assert _drawn(load_version(folder), "multiclass", saved, "saved")[1] == {p: i - gone for p, i in before.items()}
    lines = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join(lines[:-1]) + "\n")  # one more, by hand
    with pytest.raises(S4miError, match="not in the manifest"):
        _drawn(load_version(folder), "multiclass", saved, "100")


def test_nothing_that_is_kept_names_a_patient_or_an_image(lesions_of_patients: Path) -> None:
    gone = _erase(lesions_of_patients, "P3")
    gone |= _erase(lesions_of_patients, "P10")
    text = (lesions_of_patients / ERASED_NAME).read_text()
    cells = {*itertools.chain.from_iterable(line.split(",") for line in text.splitlines()[1:])}
    assert not cells & {*gone, "P3", "P10"}
    assert len(text.splitlines()) == len(gone) + 1


def test_a_damaged_file_is_named(lesions_of_patients: Path) -> None:
    _erase(lesions_of_patients, "P3")
    path = lesions_of_patients / ERASED_NAME
    manifest = known_version(lesions_of_patients)
    path.write_text(path.read_text().replace("\n1,", "\none,", 1))
    with pytest.raises(S4miError, match=r"erased.csv: cannot be used .* or remove it"):
        known_version(lesions_of_patients)
    path.unlink()
    assert manifest.erased
    assert not known_version(lesions_of_patients).erased


@pytest.mark.parametrize("share", ["nan", "inf", "-0.1", "1.5"])
def test_a_share_that_is_none_is_refused(lesions_of_patients: Path, share: str) -> None:
    header = "version,after,patient,label,mask,foreground,split"
    (lesions_of_patients / ERASED_NAME).write_text(f"{header}\n1,lesion_0003,1,,,{share},\n")
    with pytest.raises(S4miError, match=rf"erased.csv: cannot be used \(foreground '{share}' is no share"):
        load_version(lesions_of_patients)
