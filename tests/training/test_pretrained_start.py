"""Fine-tuning from a pre-training run: right weights, no contamination of validation and test, all recorded."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conftest import TRANSFER
from s4mi.config import RunConfig, load_run_config
from s4mi.config.first_look import look_at_run
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.engine.checkpoint import load_weights
from s4mi.errors import S4miError
from s4mi.methods.classification.finetune import Finetune
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train, train_supervised
from s4mi.records import RunRecord, read_pretraining, read_record
from s4mi.training.evaluate import evaluate_run
from s4mi.training.prepare import prepare
from s4mi.training.pretrained_start import PRETRAINING, read_start
from s4mi.training.progress import Progress
from s4mi.training.run_method import build_method

Quick = Callable[..., RunConfig]

SIMCLR: dict[str, Any] = {
    "name": "simclr", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "projection": 8
}  # fmt: skip
DINO: dict[str, Any] = {
    "name": "dino", "backbone": "tiny_resnet", "weights": "none", "local_crops": 0, "hidden": 16, "bottleneck": 8,
    "prototypes": 16,
}  # fmt: skip
CASS: dict[str, Any] = {"name": "cass", "cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "none", "embedding": 8}


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> Path:
    """A finished DINO run on the lesions, split by seed 0."""
    run = tmp_path_factory.mktemp("runs") / "dino"
    train(quick(lesions, DINO, epochs=1), run)
    return run


def finetune(run: Path, **changes: Any) -> dict[str, Any]:
    return {**TRANSFER, "pretrained": str(run), **changes}


def refusal(config: RunConfig, run: Path) -> str:
    with pytest.raises(S4miError) as refused:
        train(config, run)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def stop_after(epoch: int) -> Callable[[Progress], None]:
    def watch(progress: Progress) -> None:
        if progress.latest is not None and progress.latest.epoch == epoch and progress.epoch == epoch + 1:
            raise KeyboardInterrupt

    return watch


def test_a_run_begins_with_the_weights_of_the_encoder_file(dino: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, finetune(dino))
    method = build_method(config, prepare(config).task)
    assert isinstance(method, Finetune)
    begun, given = method.backbone.net.state_dict(), load_file(dino / "encoders" / "tiny_resnet.safetensors")
    assert set(begun) == set(given)
    assert all(torch.equal(begun[key], given[key]) for key in given)
    scratch = build_method(quick(lesions, TRANSFER), prepare(config).task)
    assert isinstance(scratch, Finetune)
    assert not torch.equal(scratch.backbone.net.state_dict()["conv1.weight"], given["conv1.weight"])


def test_what_is_trained_first_is_that_encoder(tmp_path: Path, dino: Path, lesions: Path, quick: Quick) -> None:
    """A linear probe changes no other weights, so the finished run still contains the encoder."""
    train(quick(lesions, finetune(dino, linear_probe=True), epochs=2), tmp_path / "run")
    trained = load_weights(tmp_path / "run" / "checkpoints" / "last.safetensors")
    given = load_file(dino / "encoders" / "tiny_resnet.safetensors")
    assert all(torch.equal(trained[f"backbone.net.{key}"], tensor) for key, tensor in given.items())


@pytest.mark.parametrize(
    ("method", "technique"),
    [({}, "dino"), ({"linear_probe": True}, "dino, linear probe"), ({"pretrained": None}, "transfer from scratch"),
     ({"pretrained": None, "linear_probe": True}, "transfer from scratch, linear probe")],
)  # fmt: skip
def test_the_record_says_where_the_weights_come_from(
    tmp_path: Path, dino: Path, lesions: Path, quick: Quick, method: dict[str, Any], technique: str
) -> None:
    record = train_supervised(quick(lesions, finetune(dino, **method), epochs=1), tmp_path / "run")
    assert record.technique == technique
    assert (record.pretraining is None) == ("pretrained" in method)
    if record.pretraining is None:
        return
    source = read_pretraining(dino)
    contents = (dino / "encoders" / "tiny_resnet.safetensors").read_bytes()
    assert record.pretraining.weights_hash == hashlib.blake2b(contents, digest_size=8).hexdigest()
    assert record.pretraining.model_dump(exclude={"weights_hash"}) == {
        "method": "dino", "config_hash": source.config_hash, "encoder": "tiny_resnet", "epochs": 1,
        "images": source.images, "seconds": source.cost.seconds, "contaminated": {},
    }  # fmt: skip


def test_the_hash_of_the_settings_does_not_depend_on_the_folder(lesions: Path, quick: Quick) -> None:
    hashes = {quick(lesions, finetune(Path(folder))).hash for folder in ("/here", "/there/too")}
    assert hashes == {quick(lesions, TRANSFER).hash}


def test_another_network_is_answered_with_those_that_there_are(
    tmp_path: Path, dino: Path, lesions: Path, quick: Quick
) -> None:
    said = refusal(quick(lesions, finetune(dino, backbone="tiny_vit")), tmp_path / "run")
    assert said == (
        f"{dino}: is a pre-training run of tiny_resnet, not of 'tiny_vit'; set method.backbone to tiny_resnet, "
        "or pre-train 'tiny_vit'"
    )
    train(quick(lesions, CASS, epochs=1), tmp_path / "cass")
    said = refusal(quick(lesions, finetune(tmp_path / "cass", backbone="tiny_swin")), tmp_path / "run")
    assert "is a pre-training run of tiny_resnet and tiny_vit, not of 'tiny_swin'" in said
    for backbone in ("tiny_resnet", "tiny_vit"):
        record = train_supervised(
            quick(lesions, finetune(tmp_path / "cass", backbone=backbone), epochs=1), tmp_path / backbone
        )
        assert record.pretraining is not None
        assert (record.technique, record.pretraining.encoder, record.backbone) == ("cass", backbone, backbone)


def test_a_run_that_is_not_finished_is_no_start(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    run = tmp_path / "simclr"
    with pytest.raises(KeyboardInterrupt):
        train(quick(lesions, SIMCLR), run, watch=stop_after(1))
    said = refusal(quick(lesions, finetune(run)), tmp_path / "run")
    assert said.startswith(f"method.pretrained: {run / 'record.json'}: not found, so this is not a finished run")
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


def test_a_start_that_does_not_exist_is_named_before_an_image_is_opened(
    tmp_path: Path, lesions: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "runs" / "dino"
    monkeypatch.setattr("s4mi.recipes.train.prepare", None)  # it is not called
    said = refusal(quick(lesions, finetune(gone)), tmp_path / "run")
    assert said == (
        f"method.pretrained: {gone} does not exist; pre-train first, with: s4mi train RUN.yaml -o {gone}, or set "
        "method.pretrained=null"
    )
    file = tmp_path / "run.yaml"
    file.write_text(f"data: {{path: '{lesions}'}}\nmethod: {{name: transfer, pretrained: runs/dino}}\n")
    with pytest.raises(S4miError, match=r"^method.pretrained: runs/dino does not exist"):
        look_at_run(file)  # which imports no torch
    look_at_run(file, ["method.pretrained=null"])


def test_a_run_that_is_no_pre_training_is_no_start(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "transfer")
    said = refusal(quick(lesions, finetune(tmp_path / "transfer")), tmp_path / "run")
    assert said.startswith(f"method.pretrained: {tmp_path / 'transfer'}: a finetune run is not pre-training")


def test_images_that_were_seen_must_not_be_scored_unless_it_is_allowed(
    tmp_path: Path, dino: Path, lesions: Path, quick: Quick
) -> None:
    config = quick(lesions, finetune(dino), epochs=1, split={"seed": 5})
    prepared = prepare(config)
    seen = set((dino / "seen.txt").read_text().split())
    overlap = {part: [prepared.manifest.rows[row].id for row in prepared.split.rows(part)
                      if prepared.cache.digests[row] in seen] for part in ("val", "test")}  # fmt: skip
    first = next(part for part in ("val", "test") if overlap[part])
    said = refusal(config, tmp_path / "run")
    assert said.startswith(
        f"{dino}: was pre-trained on {len(overlap[first])} images of this run's {first} part, such as "
        f"'{overlap[first][0]}'; "
    )
    assert "split.seed" in said
    assert "data.allow_leakage=true" in said
    allowed = quick(lesions, finetune(dino), epochs=1, split={"seed": 5}, data={"allow_leakage": True})
    record = train(allowed, tmp_path / "run")
    assert isinstance(record, RunRecord)
    assert record.pretraining is not None
    assert record.pretraining.contaminated == {part: len(names) for part, names in overlap.items() if names}


def test_another_seed_on_the_same_split_is_no_leak(tmp_path: Path, dino: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, finetune(dino), epochs=1, seed=7, split={"seed": 0}, label_fraction=50)
    assert train_supervised(config, tmp_path / "run").pretraining is not None


def test_copies_under_other_names_are_seen_through(tmp_path: Path, dino: Path, lesions: Path, quick: Quick) -> None:
    manifest = load_manifest(lesions)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for number, row in enumerate(manifest.rows):
        shutil.copy(row.image, folder / "images" / f"renamed_{number:03d}.png")
    spec = manifest.spec.model_copy(update={"tasks": ("multiclass",)})
    write_dataset(folder, spec, [])
    lines = ["id,image,label,group"] + [
        f"other-{number},images/renamed_{number:03d}.png,{';'.join(row.labels or ())},{row.group}"
        for number, row in enumerate(manifest.rows)
    ]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    said = refusal(quick(folder, finetune(dino), split={"seed": 5}), tmp_path / "run")
    assert "was pre-trained on" in said


def test_pre_training_with_the_same_seed_fits_where_segmentation_stands_first_and_labels_are_few(
    tmp_path: Path, lesions: Path, quick: Quick
) -> None:
    manifest = load_manifest(lesions)
    root = str(lesions)
    spec = manifest.spec.model_copy(update={"tasks": ("segmentation", "multiclass"), "root": root})
    lines = ["id,image,mask,label,group"]
    for number, row in enumerate(manifest.rows):
        label = ";".join(row.labels or ()) if number % 3 else ""
        lines.append(f"{row.id},images/{row.image.name},masks/{row.image.name},{label},{row.group}")
    write_dataset(tmp_path / "data", spec, [])
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(lines) + "\n")
    train(quick(tmp_path / "data", SIMCLR, epochs=1), tmp_path / "simclr")
    record = train_supervised(quick(tmp_path / "data", finetune(tmp_path / "simclr"), epochs=1), tmp_path / "run")
    assert record.pretraining is not None


@pytest.fixture
def gone(tmp_path: Path, dino: Path, lesions: Path, quick: Quick) -> tuple[Path, Path]:
    """A finished run, and the path of the pre-training run it started from, which has been deleted."""
    source = tmp_path / "source"
    shutil.copytree(dino, source)
    train(quick(lesions, finetune(source), epochs=2), tmp_path / "run")
    shutil.rmtree(source)
    return tmp_path / "run", source


def test_a_finished_run_does_not_need_the_pre_training_any_more(
    tmp_path: Path, gone: tuple[Path, Path], lesions: Path
) -> None:
    run, source = gone
    assert evaluate_run(run, "test") == read_record(run).test
    predict_run(run, [lesions / "images"], tmp_path / "predicted")
    assert any((tmp_path / "predicted").iterdir())
    config = load_run_config(run / "config.yaml")
    assert config.method.pretrained == source  # type: ignore[union-attr]
    assert train(config, run, resume=True) == read_record(run)


def test_a_run_that_began_resumes_to_the_same_weights(tmp_path: Path, dino: Path, lesions: Path, quick: Quick) -> None:
    config = quick(lesions, finetune(dino), epochs=3)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", watch=stop_after(1))
    record = train(config, tmp_path / "run", resume=True)
    assert isinstance(record, RunRecord)
    assert isinstance(whole, RunRecord)
    assert record.pretraining == whole.pretraining
    ends = [load_weights(tmp_path / name / "checkpoints" / "last.safetensors") for name in ("whole", "run")]
    torch.testing.assert_close(*ends, rtol=0, atol=0)


def test_a_transformer_of_another_input_size_is_answered_in_a_line(tmp_path: Path, lesions: Path, quick: Quick) -> None:
    train(quick(lesions, {**SIMCLR, "backbone": "tiny_vit"}, epochs=1), tmp_path / "simclr")
    config = quick(lesions, finetune(tmp_path / "simclr", backbone="tiny_vit"), data={"image_size": 48})
    assert "does not fit 'tiny_vit' (size mismatch for pos_embed" in refusal(config, tmp_path / "run")


def test_damaged_hashes_of_seen_images_end_in_one_line(tmp_path: Path, dino: Path, lesions: Path, quick: Quick) -> None:
    copy = Path(shutil.copytree(dino, tmp_path / "dino"))
    (copy / "seen.txt").write_bytes(b"\xb5" + (copy / "seen.txt").read_bytes())
    said = refusal(quick(lesions, finetune(copy)), tmp_path / "run")
    assert said.startswith(f"{copy / 'seen.txt'}: cannot be read ('utf-8' codec can't decode byte 0xb5")
    assert "\n" not in said


@pytest.mark.parametrize("contents", [b"\xff", b"{}", b""])
def test_a_damaged_copy_of_the_start_ends_in_one_line(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / PRETRAINING).write_bytes(contents)
    with pytest.raises(S4miError, match=f"{PRETRAINING}: damaged; train the run again") as caught:
        read_start(tmp_path)
    assert "\n" not in str(caught.value)
