import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from s4mi.errors import S4miError
from s4mi.records import (
    FORMAT,
    ClassificationScores,
    ClassScores,
    Cost,
    EpochRecord,
    LabelCounts,
    Pretraining,
    RunRecord,
    SegmentationScores,
    read_epochs,
    read_record,
    write_record,
    write_text_atomically,
)

for _model in (ClassScores, ClassificationScores, SegmentationScores, RunRecord):
    _model.model_rebuild()  # their signatures, which `builds` fills, are made when they are first used

share = st.floats(0, 1)
maybe = st.none() | share

class_scores = st.builds(
    ClassScores, support=st.integers(0, 10**9), f1=maybe, recall=maybe, auroc=maybe, iou=maybe, hd95=maybe
)
classification = st.builds(
    ClassificationScores,
    images=st.integers(1, 10**6),
    f1_macro=share,
    auroc=maybe,
    per_class=st.dictionaries(st.sampled_from(["naevus", "Übergang", "B cells"]), class_scores),
    confusion=st.just([[5, 1], [0, 7]]),
)
segmentation = st.builds(SegmentationScores, iou=share, hd95=maybe, per_class=st.just({}))
records = st.builds(
    RunRecord,
    format=st.just(FORMAT),
    task=st.sampled_from(["multiclass", "multilabel", "segmentation"]),
    val=st.none() | classification | segmentation,
    test=st.none() | classification | segmentation,
    last_test=st.none() | classification | segmentation,
    steps=st.none() | st.integers(0, 10**6),
    ended_improving=st.booleans(),
    label_fraction=st.floats(0.1, 100),
    dataset=st.text(max_size=20),
    classes=st.just(["a", "b"]),
    labels=st.just(LabelCounts(train_images=4, train_labelled=2, val=1, test=1, per_class={"a": 1, "b": 1})),
    cost=st.just(Cost(seconds=1.5, images_per_second=20, peak_memory_mib=300, parameters=10, device="cpu")),
    versions=st.just({"torch": "2"}),
)


@settings(deadline=None, max_examples=25)
@given(record=records)
def test_a_record_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, record: RunRecord) -> None:
    folder = tmp_path_factory.mktemp("run")
    write_record(record, folder)
    assert repr(read_record(folder)) == repr(record)  # a NaN is not equal to itself


def test_non_finite_numbers_can_be_read_again(tmp_path: Path) -> None:
    scores = ClassScores(support=1, f1=math.nan, hd95=math.inf)
    again = ClassScores.model_validate_json(scores.model_dump_json())
    assert math.isnan(again.f1 or 0)
    assert again.hd95 == math.inf
    worst = epoch(1).model_copy(update={"losses": {"total": math.inf}})
    (tmp_path / "metrics.jsonl").write_text(lines(worst), encoding="utf-8")
    assert read_epochs(tmp_path) == [worst]


def a_record() -> RunRecord:
    return RunRecord(
        method="dedl",
        backbone="resnet34 U-Net",
        dataset="lesions",
        synthetic=True,
        task="segmentation",
        classes=["background", "lesion"],
        label_fraction=10,
        seed=0,
        config_hash="c",
        split_hash="s",
        data_hash="d",
        metric="iou",
        best_epoch=1,
        epochs=2,
        labels=LabelCounts(train_images=4, train_labelled=2, val=1, test=1, per_class={"lesion": 2}),
        val=None,
        test=None,
        cost=Cost(seconds=1, images_per_second=2, peak_memory_mib=3, parameters=4, device="cpu"),
        versions={},
        git_revision=None,
        started="2024-01-01T00:00:00+00:00",
        finished="2024-01-01T00:00:01+00:00",
    )


def changed(folder: Path, **changes: Any) -> Path:
    """A run folder whose record has other contents."""
    write_record(a_record(), folder)
    path = folder / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    return folder


def test_a_record_of_a_version_without_steps_is_read(tmp_path: Path) -> None:
    folder = changed(tmp_path)
    path = folder / "record.json"
    new = ("steps", "ended_improving", "last_test")
    kept = {key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if key not in new}
    path.write_text(json.dumps(kept), encoding="utf-8")
    older = read_record(folder)
    assert (older.steps, older.ended_improving, older.last_test) == (None, False, None)
    assert not older.few_steps


@pytest.mark.parametrize(("steps", "few"), [(None, False), (0, True), (199, True), (200, False)])
def test_fewer_than_200_steps_are_few(steps: int | None, few: bool) -> None:
    assert a_record().model_copy(update={"steps": steps}).few_steps is few


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mood": "good"}, "mood: Extra inputs are not permitted"),
        ({"format": FORMAT + 1}, "format: Input should be 1"),
        ({"task": "regression"}, "task: Input should be 'multiclass', 'multilabel' or 'segmentation'"),
        ({"cost": {"seconds": 1}}, "cost.images_per_second: Field required"),
        ({"val": {"kind": "ranking"}}, "val: Input tag 'ranking'"),
    ],
)
def test_a_record_of_another_format_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(S4miError) as error:
        read_record(changed(tmp_path, **changes))
    assert str(error.value).startswith(f"{tmp_path / 'record.json'}: {message}")
    assert str(error.value).endswith("was it written by another version?")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("contents", "message"),
    [(b'{"format": 1, "meth', "file: Invalid JSON"), (b"\xff\xfe", "damaged (byte 0 is not")],
)
def test_a_damaged_record_is_refused_in_one_line(tmp_path: Path, contents: bytes, message: str) -> None:
    (tmp_path / "record.json").write_bytes(contents)
    with pytest.raises(S4miError) as error:
        read_record(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'record.json'}: {message}")
    assert "\n" not in str(error.value)


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(S4miError, match="no such folder; pass the folder of a finished run"):
            read_record(folder)
    with pytest.raises(S4miError, match=r"not a run \(no config.yaml in it\); pass the folder of a finished run"):
        read_record(tmp_path)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(S4miError, match="not found, so this is not a finished run; finish it with: s4mi train RUN"):
        read_record(tmp_path)


def test_pre_training_written_by_older_versions_is_read() -> None:
    pretraining = {
        "method": "dino", "config_hash": "c", "encoder": "tiny_resnet", "weights_hash": "w", "epochs": 3, "images": 9,
        "seconds": 1.0,
    }  # fmt: skip
    new = Pretraining.model_validate({**pretraining, "contaminated": {"test": 4}})
    assert Pretraining.model_validate({**pretraining, "spoilt": {"test": 4}}) == new
    assert Pretraining.model_validate_json(new.model_dump_json()) == new


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        a_record().seed = 3  # type: ignore[misc]


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number, losses={"total": 1 / number}, val={"iou": 0.5}, lr=1e-3, seconds=2, images_per_second=9
    )


def lines(*epochs: EpochRecord) -> str:
    return "".join(one.model_dump_json() + "\n" for one in epochs)


def test_epochs_are_read_in_order(tmp_path: Path) -> None:
    assert read_epochs(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(lines(epoch(1), epoch(2), epoch(3)), encoding="utf-8")
    assert read_epochs(tmp_path) == [epoch(1), epoch(2), epoch(3)]


def test_an_incomplete_last_line_is_ignored_wherever_it_ends(tmp_path: Path) -> None:
    complete, partial = lines(epoch(1), epoch(2)), lines(epoch(3)).encode()
    for end in range(len(partial) - 1):  # without its line break it is complete
        (tmp_path / "metrics.jsonl").write_bytes(complete.encode() + partial[:end])
        assert read_epochs(tmp_path) == [epoch(1), epoch(2)]
    (tmp_path / "metrics.jsonl").write_bytes(complete.encode() + b"\x00\xff\xfe")
    assert read_epochs(tmp_path) == [epoch(1), epoch(2)]


def test_a_file_is_written_atomically_and_no_other_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.txt"
    write_text_atomically(path, "old äöü\n")
    write_text_atomically(path, "new\n")
    assert path.read_text(encoding="utf-8") == "new\n"
    assert [file.name for file in path.parent.iterdir()] == ["note.txt"]
    os.umask(umask := os.umask(0o027))
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "note.txt"
    write_text_atomically(path, "old")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="no space"):
        write_text_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_text_that_cannot_be_encoded_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomically(path, "half a character: \ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_records_are_read_without_torch() -> None:
    code = "import sys, s4mi.records; print({'torch', 'timm', 'monai', 'lightning_fabric'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
