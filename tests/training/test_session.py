"""A run that cannot start leaves nothing behind that would block a second attempt."""

import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.training.progress import Progress

CASS = {"name": "cass", "cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "none", "embedding": 16}
DINO = {"name": "dino", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "prototypes": 8, "local_crops": 0}
FINETUNE = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
ONE = r"batches of one image \(batch_size 1, \d+ training images\) are too small for batch normalisation"


@pytest.mark.parametrize("method", [CASS, FINETUNE], ids=["cass", "finetune"])
def test_batches_of_one_image_are_refused_where_there_is_batch_normalisation(quick, lesions, tmp_path, method) -> None:
    run = tmp_path / "run"
    with pytest.raises(S4miError, match=ONE):
        train(quick(lesions, method, epochs=1, batch_size=1), run)
    assert not run.exists()
    train(quick(lesions, method, epochs=1), run)  # once fixed, it can use the same folder


@pytest.mark.parametrize(
    "method",
    [DINO, {**FINETUNE, "backbone": "tiny_vit"}, {**FINETUNE, "linear_probe": True}],
    ids=["two views of it", "no batch normalisation", "batch normalisation that stands still"],
)
def test_batches_of_one_image_are_taken_where_nothing_is_wrong_with_them(quick, lesions, tmp_path, method) -> None:
    record = train(quick(lesions, method, epochs=1, batch_size=1, label_fraction=20), tmp_path / "run")
    assert record.epochs == 1


def test_a_setting_that_pre_training_cannot_have_leaves_no_folder(quick, lesions, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(lesions, bare)
    spec = bare / "dataset.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("- multiclass\n", ""), encoding="utf-8")
    with pytest.raises(S4miError, match=r"health.knn needs images with class labels"):
        train(quick(lesions, DINO, epochs=1, data={"path": bare}, health={"knn": True}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_with_a_damaged_name_is_refused_in_one_line(quick, lesions, tmp_path: Path) -> None:
    config, run = quick(lesions, FINETUNE, epochs=2), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(config, run, watch=in_the_second_epoch)
    path = run / "checkpoints" / "last.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    weights = load_file(path)
    first = next(iter(weights))
    save_file({name.upper() if name == first else name: weight for name, weight in weights.items()}, path, metadata)
    with pytest.raises(S4miError, match=r"checkpoints: weights of another network, or damaged \(.*\); start") as error:
        train(config, run, resume=True)
    assert "\n" not in str(error.value)


def in_the_second_epoch(progress: Progress) -> None:
    if progress.phase == "train" and progress.latest is not None:
        raise KeyboardInterrupt
