"""Nothing is encoded twice: health of pre-training, its feature map, and the commands that need the same features."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from s4mi.config import RunConfig
from s4mi.data.manifest import load_manifest
from s4mi.inference.features import embed_files
from s4mi.inference.run_encoder import RunEncoder
from s4mi.recipes.train import train
from s4mi.records import PretrainingRecord
from s4mi.training import health

Quick = Callable[..., RunConfig]
SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip


def test_a_check_encodes_each_image_once_for_spread_and_neighbours(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[torch.nn.Module, list[int]]] = []
    plain = health.features_of

    def counted(fabric: Any, network: torch.nn.Module, prepared: Any, rows: Sequence[int]) -> Tensor:
        calls.append((network, list(rows)))
        return plain(fabric, network, prepared, rows)

    monkeypatch.setattr(health, "features_of", counted)
    record = train(quick(lesions, SIMCLR, epochs=1, health={"knn": True, "images": 10}), tmp_path / "run")
    assert isinstance(record, PretrainingRecord)
    assert set(record.end.knn) == {"tiny_resnet"}
    encoded = [rows for network, rows in calls if network is calls[0][0]]
    assert len(encoded) == 2  # before the first step and after the epoch
    for rows in encoded:
        assert len(rows) == len(set(rows)) > 10  # the sample, the labelled and the validation images


@pytest.mark.long
def test_the_neighbours_vote_is_the_one_of_features_that_are_computed_apart(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features of a part do not depend on the images that are encoded beside it."""
    plain = health.features_of

    def one_by_one(fabric: Any, network: torch.nn.Module, prepared: Any, rows: Sequence[int]) -> Tensor:
        return torch.cat([plain(fabric, network, prepared, [row]) for row in rows])

    together = train(quick(lesions, SIMCLR, epochs=1, health={"knn": True}), tmp_path / "together")
    monkeypatch.setattr(health, "features_of", one_by_one)
    apart = train(quick(lesions, SIMCLR, epochs=1, health={"knn": True}), tmp_path / "apart")
    assert isinstance(together, PretrainingRecord)
    assert isinstance(apart, PretrainingRecord)
    assert together.end.knn == apart.end.knn
    for name, spread in together.end.features.items():
        assert spread.std == pytest.approx(apart.end.features[name].std, rel=1e-3)


def test_embed_finds_what_the_feature_map_of_the_run_computed(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quick(lesions, SIMCLR, epochs=1)
    record = train(config, tmp_path / "run")
    assert isinstance(record, PretrainingRecord)
    parts = {row.id: row.image for row in load_manifest(lesions).rows}
    seen = (tmp_path / "run" / "feature_map.json").read_text(encoding="utf-8")
    mapped = [image for name, image in parts.items() if f'"{name}"' in seen]
    assert len(mapped) > 30
    monkeypatch.setattr(RunEncoder, "compute", lambda *_: pytest.fail("encoded twice"))
    found = embed_files(tmp_path / "run", mapped)
    assert not found.failed
    assert np.isfinite(found.features).all()
    monkeypatch.undo()
    others = [image for name, image in parts.items() if f'"{name}"' not in seen]
    assert len(others) > 0
    assert embed_files(tmp_path / "run", others).features.shape[1] == found.features.shape[1]
