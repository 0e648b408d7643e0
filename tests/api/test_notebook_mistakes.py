"""Mistakes of notebooks: another folder, numbers of NumPy, parts under another name."""

from pathlib import Path

import numpy as np
import pytest

import s4mi
from s4mi.api.inputs import as_mapping
from s4mi.data.manifest import load_manifest
from s4mi.inference.dataset_images import rows_in_part


def test_a_data_set_stays_the_same_after_a_change_of_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lesions = s4mi.draw("lesions", "drawn", count=6, size=32)
    assert repr(lesions).startswith("Dataset('drawn')")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Path(lesions) == tmp_path / "drawn"
    assert len(s4mi.Dataset(lesions)) == 6


def test_a_run_and_a_study_stay_the_same_after_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 7\n")
    run, study = s4mi.Run("runs/one"), s4mi.Study("runs")
    monkeypatch.chdir("/")
    assert run.settings == {"seed": 7}
    assert Path(study) == tmp_path / "runs"


def test_numbers_of_numpy_are_settings() -> None:
    settings = as_mapping(
        {"optim.lr": np.float64(0.5), "seed": np.int64(3), "seeds": [np.float32(1)], "on": np.bool_(True)}
    )
    assert settings == {"optim": {"lr": 0.5}, "seed": 3, "seeds": [1.0], "on": True}


def test_an_unknown_part_names_those_there_are(lesions: Path) -> None:
    with pytest.raises(s4mi.S4miError, match=r"unknown part 'validation'.*choose from train, val, test"):
        rows_in_part(load_manifest(lesions), [], "validation", hint="")  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers_of_images(lesions: Path) -> None:
    data = s4mi.Dataset(lesions)
    assert np.array_equal(data.image(np.int64(3)), data.image(3))
    assert np.array_equal(data.mask(np.uint8(59)), data.mask(-1))
    with pytest.raises(s4mi.S4miError, match="no image 60; it has 60 images, counted from 0"):
        data.image(np.int64(60))
