"""Versions of a data set are kept and readable, and no image moves between training, validation and test."""

from dataclasses import replace
from pathlib import Path

import pytest

from s4mi.config import RunConfig
from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.splits.split import SplitMethod, make_split
from s4mi.data.splits.split_file import save_split
from s4mi.data.splits.split_version import base_version, merged_later
from s4mi.data.versions import first_annotated, load_version, newest_version, write_version
from s4mi.errors import S4miError


@pytest.fixture
def sparse(tmp_path: Path) -> Manifest:
    """60 drawn lesions, of which every third patient has labels and masks, but for one image of each."""
    folder = tmp_path / "data"
    full = write_synthetic("lesions", folder, count=60, size=32, seed=2)
    groups = sorted({row.group or "" for row in full.rows})
    seen: set[str] = set()
    rows = []
    for row in full.rows:
        annotated = groups.index(row.group or "") % 2 == 0 and (row.group in seen or int(row.id[-1]) % 2 == 0)
        seen.add(row.group or "")
        rows.append(row if annotated else replace(row, labels=None, mask=None))
    write_dataset(folder, full.spec, rows)
    (folder / "all.csv").write_text("".join(f"{row.id},{(row.labels or ('',))[0]}\n" for row in full.rows))
    return load_version(folder)


def complete(manifest: Manifest) -> list[Row]:
    """Every row with its label and mask."""
    label = dict(line.split(",") for line in (manifest.folder / "all.csv").read_text().splitlines())
    return [replace(row, labels=(label[row.id],), mask=manifest.folder / "masks" / row.image.name)
            for row in manifest.rows]  # fmt: skip


def test_an_old_version_can_be_read_again(sparse: Manifest) -> None:
    assert newest_version(sparse.folder) == 1
    assert write_version(sparse, sparse.spec, complete(sparse)) == 2
    assert newest_version(sparse.folder) == 2
    old, new = load_version(sparse.folder, 1), load_version(sparse.folder)
    assert [row.labels for row in old.rows] == [row.labels for row in sparse.rows]
    assert all(row.labels for row in new.rows)
    assert (old.title, new.title) == ("synthetic-lesions", "synthetic-lesions, version 2")


def test_a_killed_merge_leaves_the_previous_version(sparse: Manifest) -> None:
    (sparse.folder / "manifest-v1.csv").write_bytes((sparse.folder / "manifest.csv").read_bytes())
    assert load_version(sparse.folder).version == 1
    assert write_version(sparse, sparse.spec, complete(sparse)) == 2
    assert load_version(sparse.folder).version == 2


def test_a_missing_version_is_named(sparse: Manifest) -> None:
    write_version(sparse, sparse.spec, complete(sparse))
    with pytest.raises(S4miError, match=r"no version 5 \(data.version\), only versions 1, 2"):
        load_version(sparse.folder, 5)


def test_an_error_in_an_old_version_names_its_file(sparse: Manifest) -> None:
    write_version(sparse, sparse.spec, complete(sparse))
    old = sparse.folder / "manifest-v1.csv"
    old.write_text(old.read_text().replace("lesion_0003.png", "gone.png", 1))
    with pytest.raises(S4miError, match=r"manifest-v1.csv:5: image"):
        load_version(sparse.folder, 1)


@pytest.mark.parametrize("kind", ["random", "kfold"])
@pytest.mark.parametrize("task", ["multiclass", "segmentation"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_image_moves_when_annotation_is_merged(sparse: Manifest, kind: str, task: str, seed: int) -> None:
    method = SplitMethod(kind, folds=4, fold=1, seed=seed)  # type: ignore[arg-type]
    shares = [0.1 * (number % 7) for number in range(len(sparse.rows))]
    before = make_split(sparse, task, method=method, fraction_seed=seed, foreground=shares)  # type: ignore[arg-type]
    write_version(sparse, sparse.spec, complete(sparse))
    new = load_version(sparse.folder)
    moved = make_split(new, task, method=method, fraction_seed=seed, foreground=shares)  # type: ignore[arg-type]
    base = base_version(new, task, method, foreground=shares)  # type: ignore[arg-type]
    after = make_split(
        new, task, method=method, fraction_seed=seed, foreground=shares, base=base  # type: ignore[arg-type]
    )  # fmt: skip
    assert (after.train, after.val, after.test) == (before.train, before.val, before.test)
    assert (moved.val, moved.test) != (before.val, before.test)  # it would, if it were drawn from all labels
    assert {*before.labelled} < {*after.labelled}
    assert base is not None
    later = merged_later(new, base, task)  # type: ignore[arg-type]
    assert later == {n for n, row in enumerate(sparse.rows) if not row.annotated(task)}  # type: ignore[arg-type]


def test_an_official_or_a_saved_split_needs_no_base(sparse: Manifest) -> None:
    write_version(sparse, sparse.spec, complete(sparse))
    new = load_version(sparse.folder)
    assert base_version(new, "multiclass", SplitMethod("official"), foreground=None) is None
    assert base_version(new, "multiclass", SplitMethod("file", file=Path("x")), foreground=None) is None


def test_later_images_go_to_the_part_of_their_patient_or_to_train(sparse: Manifest) -> None:
    method = SplitMethod(seed=0)
    before = make_split(sparse, "multiclass", method=method, fraction_seed=0)
    write_version(sparse, sparse.spec, complete(sparse))
    new = load_version(sparse.folder)
    tested = new.rows[before.test[0]]
    more = replace(new, rows=(*new.rows, replace(tested, id="later"), replace(tested, id="other", group="new")))
    base = base_version(new, "multiclass", method, foreground=None)
    after = make_split(more, "multiclass", method=method, fraction_seed=0, base=base)
    assert len(new.rows) in after.test
    assert len(new.rows) + 1 in after.train


def test_replaced_masks_count_with_their_old_foreground(sparse: Manifest) -> None:
    """The parts are stratified by foreground; an old mask that a new one has replaced is read again."""
    number = next(n for n, row in enumerate(sparse.rows) if row.mask is not None)
    other = sparse.folder / "other.png"
    other.write_bytes((sparse.folder / "masks" / "lesion_0059.png").read_bytes())
    rows = [replace(row, mask=other) if n == number else row for n, row in enumerate(sparse.rows)]
    write_version(sparse, sparse.spec, rows)
    base = base_version(load_version(sparse.folder), "segmentation", SplitMethod(), foreground=[0.5] * len(rows))
    assert base is not None
    assert base.foreground is not None
    from s4mi.data.masks import foreground_share, read_mask

    old = sparse.rows[number].mask
    assert old is not None
    assert base.foreground[number] == foreground_share(read_mask(old, sparse.spec.mask_values))
    assert {share for n, share in enumerate(base.foreground) if n != number} == {0.0, 0.5}


def test_labelled_images_can_be_those_of_a_file(sparse: Manifest, tmp_path: Path) -> None:
    drawn = make_split(sparse, "multiclass", method=SplitMethod(seed=1), fraction_seed=1)
    some = replace(drawn, labelled=drawn.labelled[::2])
    save_split(some, sparse, tmp_path / "split.json")
    method = SplitMethod("file", file=tmp_path / "split.json")
    saved = LabelAmount.parse("saved")
    split = make_split(sparse, "multiclass", method=method, amount=saved, fraction_seed=5)
    assert split.labelled == some.labelled
    assert str(saved) == saved.setting == "saved"
    with pytest.raises(S4miError, match=r"use split.kind=file"):
        make_split(sparse, "multiclass", method=SplitMethod(), amount=saved, fraction_seed=0)
    save_split(replace(drawn, labelled=(drawn.test[0],)), sparse, tmp_path / "split.json")
    with pytest.raises(S4miError, match="is not in the training part"):
        make_split(sparse, "multiclass", method=method, amount=saved, fraction_seed=0)


def test_the_first_version_with_a_task_is_found(sparse: Manifest) -> None:
    bare = sparse.spec.model_copy(update={"tasks": ()})
    write_dataset(sparse.folder, bare, [replace(row, labels=None, mask=None) for row in sparse.rows])
    assert first_annotated(sparse.folder) == 1
    write_version(load_version(sparse.folder), sparse.spec, sparse.rows)
    assert first_annotated(sparse.folder) == 2
    write_version(load_version(sparse.folder), sparse.spec, complete(sparse))
    assert first_annotated(sparse.folder) == 2
    assert load_manifest(sparse.folder).spec == sparse.spec


def test_a_run_keeps_its_version(sparse: Manifest, quick: object) -> None:
    from conftest import TRANSFER

    config: RunConfig = quick(sparse.folder, TRANSFER)  # type: ignore[operator]
    assert config.data.version == 1
    write_version(sparse, sparse.spec, complete(sparse))
    assert quick(sparse.folder, TRANSFER).data.version == 2  # type: ignore[operator]
    assert quick(sparse.folder, TRANSFER, data={"version": 1}).hash == config.hash  # type: ignore[operator]
