"""Predictions that are kept come back as they were; a damaged store is made again, and a full disk is no damage."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from s4mi.data.loading.cache_database import is_damaged
from s4mi.viewer.prediction_store import ImagePrediction, PredictionStore

MASK = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2
ONE = ImagePrediction(("nevus",), {"nevus": 0.75, "melanoma": 0.25}, 0.5, 0.9, "12-3", MASK, MASK * 9)


def store(folder: Path) -> PredictionStore:
    made = PredictionStore(folder / "p.sqlite")
    made.write("a", "1-2", ONE)
    return made


def test_a_prediction_comes_back_for_its_file_alone(tmp_path: Path) -> None:
    made = store(tmp_path)
    found = made.read("a", "1-2")
    assert found is not None
    assert (found.labels, found.probabilities, found.doubt, found.agreement) == (
        ("nevus",),
        ONE.probabilities,
        0.5,
        0.9,
    )
    assert np.array_equal(found.mask, MASK)
    assert np.array_equal(found.doubt_map, MASK * 9)
    assert made.probabilities("a", "1-2") == ONE.probabilities
    assert [one.id for one in made.summaries()] == ["a"]
    assert made.read("a", "1-3") is None
    assert PredictionStore(tmp_path / "none.sqlite").read("a", "1-2") is None


@pytest.mark.parametrize("damage", ["no database", "cut", "other table"])
def test_a_damaged_store_is_made_again(tmp_path: Path, damage: str) -> None:
    made, path = store(tmp_path), tmp_path / "p.sqlite"
    if damage == "other table":
        path.unlink()
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE predictions (id TEXT)")
        database.close()
    else:
        path.write_bytes(b"x" * 5000 if damage == "no database" else path.read_bytes()[:5000])
    assert made.read("a", "1-2") is None
    assert list(made.summaries()) == []
    made.write("a", "1-2", ONE)
    assert made.probabilities("a", "1-2") == ONE.probabilities


@pytest.mark.parametrize(
    ("column", "value"), [("labels", "{"), ("probabilities", "[1]"), ("mask", b"no PNG"), ("doubt", "x")]
)
def test_a_damaged_prediction_is_none(tmp_path: Path, column: str, value: object) -> None:
    made = store(tmp_path)
    with sqlite3.connect(tmp_path / "p.sqlite") as database:
        database.execute(f"UPDATE predictions SET {column} = ?", (value,))
    database.close()
    assert made.read("a", "1-2") is None


def test_a_failing_disk_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PredictionStore(tmp_path / "missing" / "p.sqlite").compare("a", 1.0, "")
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(tmp_path / "missing" / "p.sqlite")
    assert not is_damaged(caught.value)
