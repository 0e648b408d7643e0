"""Loose DICOM files of one series are read together whatever is made of them; those of a data set as in training."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

import s4mi
from conftest import TRANSFER
from dicom_files import write_dicom
from s4mi.config import RunConfig
from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.manifest import write_dataset
from s4mi.data.row import Row
from s4mi.data.series import series_limits
from s4mi.data.spec import DatasetSpec

Pixels = list[np.ndarray]


@pytest.fixture(scope="module")
def run(lesions: Path, quick: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> s4mi.Run:
    return s4mi.train(quick(lesions, TRANSFER, epochs=1), tmp_path_factory.mktemp("runs") / "run", progress=False)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Slices without a window, each brighter than the one before."""
    (tmp_path / "slices").mkdir()
    noise = np.random.default_rng(0)
    return [
        write_dicom(
            tmp_path / "slices" / f"{n}.dcm", noise.integers(0, 400 * (n + 1), (40, 40)).astype(np.int16),
            SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2",
        )
        for n in range(4)
    ]  # fmt: skip


def pixels_of(run: s4mi.Run, files: list[Path]) -> tuple[Pixels, Pixels]:
    """The slices with one stretch for all, and each with its own."""
    rule = Intensity.parse(run.model.intensity)
    limits = series_limits(files, rule)
    assert len(set(limits.values())) == 1
    together = [read_image(path, rule, limits=limits[path]) for path in files]
    return together, [read_image(path, rule) for path in files]


def test_predictions(run: s4mi.Run, files: list[Path], tmp_path: Path) -> None:
    together, alone = pixels_of(run, files)
    rows = [Row(path.stem, path, None, None, None, None, n + 2) for n, path in enumerate(files)]
    (tmp_path / "data").mkdir()
    write_dataset(tmp_path / "data", DatasetSpec(name="slices", tasks=(), channels="grey"), rows)
    one, other = (np.stack(run.predict_proba(pixels)) for pixels in (together, alone))
    assert np.abs(one - other).max() > 1e-4
    assert np.array_equal(np.stack(run.predict_proba(files)), one)
    assert np.array_equal(np.stack(run.predict_proba(files[0].parent)), one)
    assert np.array_equal(np.stack(run.predict_proba(tmp_path / "data")), other)


def test_explanations(run: s4mi.Run, files: list[Path], tmp_path: Path) -> None:
    together, _ = pixels_of(run, files)
    s4mi.explain(
        run, files[0].parent, tmp_path / "out", methods=["input_gradient"], part=None, sanity=False, progress=False
    )
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        explained = {row["image"]: float(row["probability"]) for row in csv.DictReader(file)}
    predicted = [p.max() for p in run.predict_proba(together, raw=True)]
    assert [explained[path.stem] for path in files] == pytest.approx(predicted, abs=1e-5)


def test_features(run: s4mi.Run, files: list[Path], tmp_path: Path) -> None:
    together, _ = pixels_of(run, files)
    (tmp_path / "pictures").mkdir()
    for path, pixels in zip(files, together, strict=True):
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{path.stem}.png")
    of_files, of_pictures = (
        s4mi.embed(run, folder, tmp_path / folder.name / "f.parquet", progress=False).table.sort("id")
        for folder in (files[0].parent, tmp_path / "pictures")
    )
    assert isinstance(of_files, polars.DataFrame)
    assert np.array_equal(np.stack(of_files["feature"].to_list()), np.stack(of_pictures["feature"].to_list()))
