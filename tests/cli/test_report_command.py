"""`s4mi embed` and `s4mi report` as a user meets them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.recipes.train import train

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A finished run, and one that is not."""
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, TRANSFER, epochs=1), folder / "done")
    shutil.copytree(folder / "done", folder / "half")
    (folder / "half" / "record.json").unlink()
    return folder


def test_report_writes_the_page_and_names_the_unfinished(s4mi, runs: Path, tmp_path: Path) -> None:
    status, out, err = s4mi("report", runs, "-o", tmp_path / "r.html", "--title", "Mine")
    assert status == 0
    assert out.strip() == f"1 finished run, 0 of pre-training: {tmp_path / 'r.html'}"
    assert err.startswith("half: not included, unfinished (after 1 of 1 epochs)")
    assert "<h1>Mine</h1>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_report_of_nothing_is_one_line(s4mi, tmp_path: Path) -> None:
    status, out, err = s4mi("report", tmp_path, "-o", tmp_path / "r.html")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "contains no run" in err


def test_embed_names_what_it_wrote(s4mi, runs: Path, lesions: Path, tmp_path: Path) -> None:
    status, out, _ = s4mi("embed", runs / "done", lesions, "-o", tmp_path / "f.parquet")
    assert status == 0
    assert out.startswith("60 images embedded by tiny_resnet: ")
    for ending in ("parquet", "svg", "json"):
        assert str(tmp_path / f"f.{ending}") in out
        assert (tmp_path / f"f.{ending}").is_file()


def test_embed_goes_past_a_broken_image_and_says_so(s4mi, runs: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    status, out, err = s4mi("embed", runs / "done", tmp_path, "-o", tmp_path / "out/f.parquet")
    assert status == 1
    assert out.startswith("1 image embedded")
    assert f"1 could not be read: {tmp_path / 'out/errors.csv'}" in err


def test_an_unknown_projection_is_refused(s4mi, runs: Path, tmp_path: Path) -> None:
    status, _, err = s4mi("embed", runs / "done", tmp_path, "--projection", "tsne")
    assert status == 2
    assert "pca" in err
