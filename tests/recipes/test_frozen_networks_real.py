"""Frozen and ViT networks in semi-supervised methods, from a study file, on real images with real weights."""

from pathlib import Path

import pytest
import yaml

from s4mi.config import load_study
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.records import RunRecord
from s4mi.studies.run import run_study

IMAGES = 20
DINO = "vit_small_patch14_dinov2"


@pytest.mark.real
@pytest.mark.slow
def test_a_frozen_network_teaches_and_a_vit_with_dpt_learns_weak_to_strong(tmp_path: Path, real_data: Path) -> None:
    everything, data = tmp_path / "ph2", tmp_path / "few"
    write_import(
        read_tables(real_data / "ph2", TableOptions(label="diagnosis")), everything, naming=DatasetNaming("ph2")
    )
    manifest = load_manifest(everything)
    data.mkdir()
    write_dataset(data, manifest.spec.model_copy(update={"root": str(everything)}), manifest.rows[:IMAGES])
    encoder = str(real_data / "weights" / f"{DINO}.fp16.safetensors")
    frozen = {"transformer": f"frozen/{DINO}", "transformer_weights": encoder}
    contents = {
        "data": {"path": str(data), "image_size": 56, "cache": str(tmp_path / "cache"), "allow_leakage": True},
        "label_fractions": [50],
        "seeds": [0],
        "settings": {"task": "segmentation", "epochs": 2, "epoch_steps": 2, "batch_size": 4},
        "arms": [
            {"name": "cross", "method": {"name": "cross_teaching", "cnn": "tiny_resnet", **frozen}},
            {
                "name": "dpt",
                "method": {
                    "name": "weak_to_strong", "network": f"dpt/{DINO}", "weights": encoder, "complementary": True,
                },
            },
            {"name": "teacher", "method": {
                "name": "frozen_teacher", "network": "tiny_resnet", "teacher": DINO, "teacher_weights": encoder,
                "teacher_steps": 10,
            }},
        ],
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(contents), encoding="utf-8")
    outcomes = run_study(load_study(file), tmp_path / "out")
    records = {outcome.planned.arm: outcome.record for outcome in outcomes}
    assert set(records) == {"cross", "dpt", "teacher"}
    assert not [outcome.reason for outcome in outcomes if outcome.record is None]
    for record in records.values():
        assert isinstance(record, RunRecord)
        assert record.test is not None
        assert record.labels.train_labelled < record.labels.train_images
    cross = records["cross"]
    assert isinstance(cross, RunRecord)
    assert {"cnn", "transformer"} <= set(cross.members)
    assert f"{DINO} (frozen)" in cross.backbone
