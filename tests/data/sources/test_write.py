"""Processing of files by imports: frames, windows, journals, interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.sources import extract, mask_naming
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.frames import FrameSelection
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.pairs import read_pairs
from s4mi.data.sources.resume import NAME, ImportJournal, key_of
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import ImportResult, write_import
from s4mi.errors import S4miError


def stacks(folder: Path, *, count: int = 3, frames: int = 4) -> Path:
    """16-bit stacks with a mask for every page, whose brightness grows from page to page."""
    for number in range(count):
        generator = np.random.default_rng(number)
        pages = (generator.integers(0, 1000, (frames, 12, 14)) + 1000 * np.arange(frames)[:, None, None]).astype("u2")
        for what, array in (("images", pages), ("masks", (pages % 2 * 255).astype("u1"))):
            (folder / what).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / what / f"s{number}.tif", array, photometric="minisblack")
    return folder


def imported(source: Path, out: Path, **options: Any) -> ImportResult:
    return write_import(read_pairs(source), out, naming=DatasetNaming("x"), options=ImportOptions(**options))


def in_turn(work: Any, items: Any, **_: Any) -> Any:
    """As `in_parallel`, in this process, where a test can see it."""
    yield from map(work, items)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }


@pytest.mark.parametrize(
    ("text", "indices"), [("all", [0, 1, 2, 3, 4]), ("first", [0]), ("middle", [2]), ("every:2", [0, 2, 4])]
)
def test_frames_are_selected(text: str, indices: list[int]) -> None:
    assert list(FrameSelection.parse(text).indices(5)) == indices


@pytest.mark.parametrize("text", ["", "last", "every", "every:0", "every:x", "first:2"])
def test_any_other_selection_is_refused(text: str) -> None:
    with pytest.raises(S4miError, match=r"unknown selection; use all, first, middle or every:N"):
        FrameSelection.parse(text)


def test_every_page_is_an_image_with_its_mask_and_its_stack_as_group(tmp_path: Path) -> None:
    written = imported(stacks(tmp_path / "source"), tmp_path / "out")
    rows = load_manifest(tmp_path / "out").rows
    assert [row.id for row in rows] == [f"s{s}_{f:03d}" for s in range(3) for f in range(4)]
    assert {row.group for row in rows} == {f"images/s{s}" for s in range(3)}
    assert all(row.image.is_relative_to(tmp_path / "out") and row.mask is not None for row in rows)
    assert written.spec.root == ""
    assert "24 pictures written as 8-bit PNG out of 6 files (.tif)" in written.spec.conversion


def test_pages_of_a_stack_share_their_limits_so_that_they_can_be_compared(tmp_path: Path) -> None:
    imported(stacks(tmp_path / "source", count=1), tmp_path / "out")
    pages = tifffile.imread(tmp_path / "source" / "images" / "s0.tif")
    expected = Intensity().to_uint8(pages)
    for number, row in enumerate(load_manifest(tmp_path / "out").rows):
        assert np.array_equal(read_image(row.image)[:, :, 0], expected[number])


def test_the_rule_is_recorded_and_used(tmp_path: Path) -> None:
    source = stacks(tmp_path / "source", count=1)
    written = imported(
        source, tmp_path / "out", intensity=Intensity.parse("window:0:4000"), frames=FrameSelection(only="first")
    )
    assert written.spec.intensity == "window:0:4000"
    (row,) = load_manifest(tmp_path / "out").rows
    page = tifffile.imread(source / "images" / "s0.tif", key=0)
    assert np.abs(read_image(row.image)[:, :, 0] - page / 4000 * 255).max() <= 0.5 + 1e-6


def test_a_mask_with_another_number_of_pages_is_skipped_with_a_warning(tmp_path: Path) -> None:
    source = stacks(tmp_path / "source", count=2)
    tifffile.imwrite(source / "masks" / "s1.tif", np.zeros((3, 12, 14), "u1"), photometric="minisblack")
    written = imported(source, tmp_path / "out")
    assert len(written.rows) == 4
    assert "has 4 frames but its mask 's1.tif' has 3" in str([str(finding) for finding in written.findings])


def test_a_page_that_cannot_be_decoded_is_skipped_with_a_warning(tmp_path: Path) -> None:
    source = stacks(tmp_path / "source", count=2)
    file = source / "images" / "s1.tif"
    file.write_bytes(file.read_bytes()[:-400])
    written = imported(source, tmp_path / "out")
    assert 4 <= len(written.rows) < 8
    assert any("s1" in str(finding) and finding.severity == "warning" for finding in written.findings)


def test_images_are_extracted_from_dicom_without_identifiers(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from dicom_files import ramp, write_dicom

    source = tmp_path / "source"
    source.mkdir()
    write_dicom(source / "a.dcm", ramp(), PatientID="Secret-17", PatientName="Secret^Name")
    write_dicom(source / "IM2", ramp(), PatientID="Secret-17", BurnedInAnnotation="YES")
    written = write_import(read_folder(source), tmp_path / "out", naming=DatasetNaming("x"))
    assert sorted(row.id for row in written.rows) == ["IM2", "a"]
    assert len({row.group for row in written.rows}) == 1
    assert not any(b"Secret" in content for content in everything(tmp_path / "out").values())
    assert {finding.code for finding in written.findings} == {"dicom-burnt-in", "dicom-patients", "one-patient"}
    kept = write_import(
        read_folder(source), tmp_path / "kept", naming=DatasetNaming("x"), options=ImportOptions(keep_dicom=True)
    )
    assert [row.image for row in kept.rows] == [source / "IM2", source / "a.dcm"]


def test_an_interrupted_import_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = stacks(tmp_path / "source", count=5)
    imported(source, tmp_path / "whole")
    work, done = extract._write_batch, []

    def breaks(batch: Any, **more: Any) -> Any:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(batch.file)
        return work(batch, **more)

    monkeypatch.setattr(extract, "in_parallel", in_turn)
    monkeypatch.setattr(extract, "_write_batch", breaks)
    with pytest.raises(KeyboardInterrupt):
        imported(source, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.csv").exists()
    again = []
    monkeypatch.setattr(extract, "_write_batch", lambda batch, **more: again.append(batch.file) or work(batch, **more))
    imported(source, tmp_path / "out")
    assert len(done) == 4
    assert sorted(done + again) == sorted(source.rglob("*.tif"))
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")


def test_only_changed_files_are_processed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = stacks(tmp_path / "source", count=3)
    imported(source, tmp_path / "out")
    work, again = extract._write_batch, []
    monkeypatch.setattr(extract, "in_parallel", in_turn)
    monkeypatch.setattr(extract, "_write_batch", lambda batch, **more: again.append(batch.file) or work(batch, **more))
    tifffile.imwrite(source / "images" / "s1.tif", np.zeros((4, 12, 14), "u2"), photometric="minisblack")
    (tmp_path / "out" / "masks" / "s2.tif" / "s2_000.png").unlink()
    imported(source, tmp_path / "out", force=True)
    assert sorted(path.name for path in again) == ["s1.tif", "s2.tif"]
    assert not read_image(tmp_path / "out" / "images" / "s1.tif" / "s1_000.png").any()


def test_masks_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for what in ("images", "masks"):
        (tmp_path / "source" / what).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(np.full((4, 4), 255, np.uint8)).save(tmp_path / "source" / what / f"{number}.png")
    read = []
    values = mask_naming.mask_file_values
    monkeypatch.setattr(mask_naming, "mask_file_values", lambda path: (read.append(path.name), values(path))[1])
    imported(tmp_path / "source", tmp_path / "out")
    Image.fromarray(np.full((4, 4), 0, np.uint8)).save(tmp_path / "source" / "masks" / "3.png")
    imported(tmp_path / "source", tmp_path / "out", force=True)
    assert sorted(read) == ["0.png", "1.png", "2.png", "3.png", "3.png", "4.png"]


def test_settings_that_are_changed_and_changed_back_write_the_same_images(tmp_path: Path) -> None:
    """The journal remembers the first import, but the files are those of the second."""
    source, shown = stacks(tmp_path / "source", count=1), []
    for rule in ("window:0:4000", "window:0:1000", "window:0:4000"):
        imported(source, tmp_path / "out", force=True, intensity=Intensity.parse(rule))
        shown.append(everything(tmp_path / "out" / "images"))
    assert shown[0] == shown[2] != shown[1]


@pytest.mark.parametrize("between", [MaskRule(threshold=200), MaskRule()])
def test_a_mask_rule_that_is_changed_and_changed_back_writes_the_same_masks(tmp_path: Path, between: MaskRule) -> None:
    for what in ("images", "masks"):
        (tmp_path / "source" / what).mkdir(parents=True)
        pixels = np.array([[0, 100], [0, 255]], np.uint8)
        Image.fromarray(pixels).save(tmp_path / "source" / what / "a.png")
    shown = []
    for rule in (MaskRule(threshold=50), between, MaskRule(threshold=50)):
        names = {} if rule.active else {100: "dim", 255: "bright", 0: "background"}
        naming = DatasetNaming("x", mask_rule=rule, mask_values=names)
        options = ImportOptions(force=True, copy=True)
        write_import(read_pairs(tmp_path / "source"), tmp_path / "out", naming=naming, options=options)
        shown.append(everything(tmp_path / "out" / "masks"))
    assert shown[0] == shown[2] != shown[1]


def test_after_a_failed_import_no_data_set_describes_images_of_another_one(tmp_path: Path) -> None:
    source, out = stacks(tmp_path / "source", count=1), tmp_path / "out"
    imported(source, out)
    before = everything(out)
    wrong = DatasetNaming("x", mask_values={0: "background", 7: "lesion"})
    for rule, replaced in ((Intensity(), False), (Intensity.parse("window:0:1000"), True)):
        with pytest.raises(S4miError, match="255 have no name"):
            write_import(read_pairs(source), out, naming=wrong, options=ImportOptions(force=True, intensity=rule))
        assert (everything(out) != before) == replaced
    with pytest.raises(S4miError, match="does not exist; create it with: s4mi data import"):
        load_manifest(out)
    imported(source, out)  # as after any other failure, without --force
    assert everything(out) == before


def test_an_incomplete_last_line_of_the_journal_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    key = key_of(tmp_path / "file", {"a": 1})
    with ImportJournal(tmp_path) as journal:
        journal.note(key, {"codes": [1]})
    with (tmp_path / NAME).open("a") as file:
        file.write('{"key": "half')
    with ImportJournal(tmp_path) as journal:
        assert journal.get(key) == {"codes": [1]}
        assert journal.get("half") is None
        journal.note("other", 2)
    with ImportJournal(tmp_path) as journal:
        assert (journal.get(key), journal.get("other")) == ({"codes": [1]}, 2)
    os.utime(tmp_path / "file", ns=(1, 1))
    assert key_of(tmp_path / "file", {"a": 1}) != key


@pytest.mark.long
def test_a_killed_import_resumes_to_the_same_result(tmp_path: Path) -> None:
    source = stacks(tmp_path / "source", count=60, frames=8)
    imported(source, tmp_path / "whole")
    command = [sys.executable, "-m", "s4mi", "data", "import", "pairs", str(source), "-o", str(tmp_path / "out")]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    journal = tmp_path / "out" / NAME
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_text().count("\n") >= 5):
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    noted = [json.loads(line)["key"] for line in journal.read_text().splitlines() if line.endswith("}")]
    assert len(noted) >= 5
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    after = [json.loads(line)["key"] for line in journal.read_text().splitlines() if line.endswith("}")]
    assert len(set(after)) == len(after) or set(noted) <= set(after)
    left, right = everything(tmp_path / "out"), everything(tmp_path / "whole")
    different = [name for name in left | right if left.get(name) != right.get(name) and ".part" not in name]
    assert different == ["dataset.yaml"]  # the names of the two data sets differ


def test_images_that_stay_in_place_and_cannot_be_read_are_named_and_skipped(tmp_path: Path) -> None:
    """A text file, a JPEG and a PNG cut off in the middle; a JPEG with bytes after its end is whole."""
    source = tmp_path / "source"
    source.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for name in ("whole.png", "whole.jpg", "cut.png", "cut.jpg", "longer.jpg"):
        Image.fromarray(pixels).save(source / name)
    for name in ("cut.png", "cut.jpg"):
        content = (source / name).read_bytes()
        (source / name).write_bytes(content[: len(content) // 2])
    (source / "longer.jpg").write_bytes((source / "longer.jpg").read_bytes() + bytes(9000))
    (source / "text.png").write_text("no image", encoding="utf-8")
    for copy in (False, True):
        out = tmp_path / f"out{copy}"
        written = write_import(read_folder(source), out, naming=DatasetNaming("x"), options=ImportOptions(copy=copy))
        assert sorted(row.image.name for row in written.rows) == ["longer.jpg", "whole.jpg", "whole.png"]
        assert sorted(one.file for one in written.findings if one.code == "unreadable") == [
            "cut.jpg", "cut.png", "text.png"
        ]  # fmt: skip
        assert [path.name for path in out.rglob("cut*")] == []
    for name in ("whole.png", "whole.jpg", "longer.jpg"):
        (source / name).unlink()
    with pytest.raises(S4miError, match="no image can be read"):
        write_import(read_folder(source), tmp_path / "none", naming=DatasetNaming("x"))


def test_slices_that_stay_dicom_are_not_stretched_one_by_one(tmp_path: Path) -> None:
    dicom_files = pytest.importorskip("dicom_files", reason="pydicom is in the extra `dicom`")
    for number in range(3):
        path = tmp_path / "in" / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        dicom_files.write_dicom(path, dicom_files.ramp() + 1000 * number, SeriesInstanceUID="1.2.3", PatientID="p")
    found = read_folder(tmp_path / "in")
    with pytest.raises(S4miError, match=r"stretch each by itself; use --intensity window:\d+:\d+"):
        write_import(found, tmp_path / "a", naming=DatasetNaming("x"), options=ImportOptions(keep_dicom=True))
    options = ImportOptions(keep_dicom=True, intensity=Intensity.parse("window:0:2550"))
    written = write_import(found, tmp_path / "b", naming=DatasetNaming("x"), options=options)
    assert [int(read_image(row.image, written.spec.rule)[0, 0, 0]) for row in written.rows] == [0, 100, 200]
