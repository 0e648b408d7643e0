"""Pages that are read in bands give what they give when they are read at once, in every command."""

import csv
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import s4mi
from conftest import DEDL, TRANSFER
from made_pages import KINDS, pixels, written
from s4mi.config import RunConfig
from s4mi.data import banded_page
from s4mi.data.checks.check import check_path
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.pairs import PairsOptions, read_pairs
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.inference.writers import page_masks
from s4mi.recipes import explain as explain_module
from s4mi.recipes.explain import explain
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train

Quick = Callable[..., RunConfig]
WHOLE, BANDED = 1 << 26, 1000
PAGES = (
    "tiled grey, deflate", "tiled RGB", "tiled RGBA", "16-bit RGB, planes apart", "big-endian 16 bits", "palette",
    "JPEG tiles, YCbCr", "strips, deflate", "white is zero", "one uncompressed strip", "LZW by Pillow",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train(quick(lesions, DEDL, epochs=1), folder / "whole")
    train(quick(lesions, DEDL, epochs=1, data={"tile": 40}), folder / "tiles")
    train(quick(lesions, TRANSFER, epochs=1), folder / "classes")
    train(quick(lesions, TRANSFER, epochs=1, data={"tile": 40}), folder / "classes-of-tiles")
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for kind in PAGES:
        KINDS[kind](folder / f"{kind.replace(' ', '-')}.tif")
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def both(call: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """What a call returns with pages read at once, and in bands."""
    found = []
    for large in (WHOLE, BANDED):
        monkeypatch.setattr(banded_page, "LARGE", large)
        found.append(call())
    return found[0], found[1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("run", "overlap", "tta"),
    [("whole", 0.25, False), ("tiles", 0.25, False), ("tiles", 0.6, True), ("tiles", 0.0, False)],
)
def test_masks_in_bands_are_the_masks_of_the_pages(
    run: str, overlap: float, tta: bool, runs: Path, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in PAGES if overlap == 0.25 else PAGES[:2]:
        name = kind.replace(" ", "-")
        for large, out in ((WHOLE, "once"), (BANDED, "bands")):
            monkeypatch.setattr(banded_page, "LARGE", large)
            predict_run(runs / run, [pages / f"{name}.tif"], tmp_path / out / name, overlap=overlap, tta=tta)
        once = np.asarray(Image.open(tmp_path / "once" / name / f"{name}.png"))
        bands = tifffile.imread(tmp_path / "bands" / name / f"{name}.tif")
        np.testing.assert_array_equal(bands, once, err_msg=kind)
        rows = [table(tmp_path / out / name / "measurements.csv") for out in ("once", "bands")]
        for one, other in zip(*rows, strict=True):
            assert other.pop("components") == other.pop("largest_component") == ""
            assert {**one, **other} == one


@pytest.mark.long
@pytest.mark.parametrize("run", ["classes", "classes-of-tiles"])
def test_classes_of_pages_in_bands_are_those_of_the_pages(
    run: str, runs: Path, pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for large, out in ((WHOLE, "once"), (BANDED, "bands")):
        monkeypatch.setattr(banded_page, "LARGE", large)
        for path in sorted(pages.iterdir()):  # one by one: batches of other sizes differ in the last digits
            predict_run(runs / run, [path], tmp_path / out / path.stem)
    for path in sorted(pages.iterdir()):
        for name in ("predictions.csv", "unlike_training.csv"):
            one, other = (tmp_path / out / path.stem / name for out in ("once", "bands"))
            assert one.exists() == other.exists()
            if one.exists():
                assert one.read_text() == other.read_text()


@pytest.mark.parametrize("run", ["whole", "tiles", "classes"])
def test_pages_in_bands_are_predicted_in_memory_too(run: str, runs: Path, pages: Path, monkeypatch: Any) -> None:
    model, page = s4mi.load(runs / run), pages / f"{PAGES[0].replace(' ', '-')}.tif"
    once, bands = both(lambda: np.asarray(model.predict(page)), monkeypatch)
    np.testing.assert_array_equal(bands, once)
    once, bands = both(lambda: model.predict_proba(page), monkeypatch)
    assert bands.shape == once.shape
    np.testing.assert_allclose(bands, once, atol=1e-6)


def test_an_overlay_is_reduced(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_masks, "SHOWN", 100)
    monkeypatch.setattr(banded_page, "LARGE", BANDED)
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / "a.tif", pixels(3), tile=(32, 32), photometric="rgb")
    predict_run(runs / "tiles", [tmp_path / "in"], tmp_path / "out", overlay=True)
    assert Image.open(tmp_path / "out" / "overlays" / "a.png").size == (100, 90)


def test_one_bad_page_does_not_end_the_others(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banded_page, "LARGE", BANDED)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        written(folder / f"{name}.tif", pixels(), tile=(32, 32), compression="zlib")
    contents = bytearray((folder / "b.tif").read_bytes())
    with tifffile.TiffFile(folder / "b.tif") as file:
        start = file.pages.first.dataoffsets[70]
    contents[start : start + 40] = bytes(40)
    (folder / "b.tif").write_bytes(contents)
    result = predict_run(runs / "tiles", [folder], tmp_path / "out")
    assert (result.predicted, result.failed) == (2, 1)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == ["a.tif", "c.tif"]
    (error,) = table(tmp_path / "out" / "errors.csv")
    assert "b.tif" in error["image"]
    assert "cannot be decoded" in error["error"]
    again = predict_run(runs / "tiles", [folder], tmp_path / "out", resume=True)
    assert again.kept == 2


def test_a_page_in_colour_for_a_run_of_grey_images_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    run = Path(shutil.copytree(runs / "tiles", tmp_path / "run"))
    spec = (run / "dataset.yaml").read_text()
    (run / "dataset.yaml").write_text(re.sub(r"channels: \w+", "channels: grey", spec))
    written(tmp_path / "a.tif", pixels(3), tile=(32, 32), photometric="rgb")
    for large in (WHOLE, BANDED):
        monkeypatch.setattr(banded_page, "LARGE", large)
        result = predict_run(run, [tmp_path / "a.tif"], tmp_path / "out")
        assert result.failed == 1
        assert "is a colour image, but" in (tmp_path / "out" / "errors.csv").read_text()


def test_a_map_of_a_large_page_is_that_of_what_the_network_sees(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_module, "SHOWN", 120)
    written(tmp_path / "a.tif", pixels(3), tile=(32, 32), photometric="rgb")

    def explained() -> tuple[list[dict[str, str]], tuple[int, int]]:
        out = tmp_path / str(banded_page.LARGE)
        explain([runs / "classes"], [tmp_path / "a.tif"], out, methods=["input_gradient"])
        return table(out / "scores.csv"), Image.open(next(out.glob("a_*.png"))).size

    (once, size), (bands, reduced) = both(explained, monkeypatch)
    assert (size, reduced) == ((333, 301), (120, 108))
    assert [row["probability"] for row in once] == [row["probability"] for row in bands]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize("command", ["check", "whole", "classes"])
def test_a_page_of_900_megapixels_takes_less_memory_than_its_pixels(command: str, runs: Path, tmp_path: Path) -> None:
    tile = zlib.compress(np.full((512, 512), 77, np.uint8).tobytes())
    folder = tmp_path / "in"
    folder.mkdir()
    written(folder / "a.tif", (tile for _ in range(59 * 59)), shape=(30_000, 30_000), dtype=np.uint8, tile=(512, 512),
            compression="zlib")  # fmt: skip
    words = (
        ("data", "check", folder) if command == "check" else ("predict", runs / command, folder, "-o", tmp_path / "o")
    )
    script = (
        "import resource\nfrom s4mi.cli import main\ntry: main()\nexcept SystemExit as left: assert not left.code\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout.rpartition("PEAK ")[2]) * 1024
    assert peak < 1.5e9  # its pixels alone are 2.7e9 bytes, and PyTorch takes 0.5e9


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pages with masks, of which one is a copy, one has a wrong size, and one an unknown value."""
    folder = tmp_path / "pairs"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(5):
        page = pixels(3) if number != 3 else np.roll(pixels(3), 40, axis=1)
        written(folder / "images" / f"{number}.tif", page + number * (number < 3), tile=(32, 48), photometric="rgb")
        mask = np.zeros((301, 333) if number != 2 else (301, 300), dtype=np.uint8)
        mask[40 + 9 * number : 200, 20:200] = 255
        if number == 4:
            mask[:3] = mask[-3:] = 255
            mask[:, :3] = mask[:, -3:] = 255
        written(folder / "masks" / f"{number}.tif", mask, tile=(32, 48), compression="zlib")
    return folder


def test_a_check_in_bands_finds_the_same(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = both(lambda: check_path(pairs), monkeypatch)
    assert one == other
    set_of_both: list[Path] = []

    def imported() -> tuple[str, str]:
        out = tmp_path / f"set-{banded_page.LARGE}"
        write_import(read_pairs(pairs, PairsOptions()), out, naming=DatasetNaming("pages"))
        set_of_both.append(out)
        return (out / "manifest.csv").read_text(), (out / "dataset.yaml").read_text()

    one, other = both(imported, monkeypatch)
    assert one == other
    assert load_manifest(set_of_both[0]).spec.mask_values == {0: "background", 255: "foreground"}
    one, other = both(lambda: check_path(set_of_both[0]), monkeypatch)
    assert one == other
    codes = {finding.code for finding in one[0].findings}
    assert {"mask-size", "mask-touches-borders", "near-duplicate"} <= codes
