"""Suggested images: never held-out ones, most uncertain and diverse first, and the same each time."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import s4mi
from conftest import DEDL, TRANSFER
from s4mi.active_learning.committee import Committee
from s4mi.active_learning.strategies import Strategy
from s4mi.config import RunConfig
from s4mi.contract import Task
from s4mi.data.annotations.merge import apply_merge, plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.masks import read_mask
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.inference.features import embed_files
from s4mi.inference.predictor import Predictor
from s4mi.inference.run_model import RunModel
from s4mi.maths.acquisition import GroupLimit, directions, k_centre
from s4mi.nets.encoder_features import EncoderFeatures
from s4mi.recipes.predict import predict_run
from s4mi.recipes.suggest import SuggestOptions, suggest
from s4mi.recipes.train import train
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import load_method, make_runtime
from s4mi.viewer.changes import Annotated
from s4mi.viewer.workspace import open_workspace
from s4mi.viewer.writing import Writing

Quick = Callable[..., RunConfig]
CROSS = {"name": "cross_teaching", "cnn": "small_unet", "transformer": "tiny_swin_unet", "transformer_weights": "none"}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 drawn lesions, half of the patients annotated."""
    folder = tmp_path_factory.mktemp("sparse") / "data"
    full = write_synthetic("lesions", folder, count=60, size=48, seed=3)
    groups = sorted({row.group or "" for row in full.rows})
    write_dataset(
        folder, full.spec,
        [row if groups.index(row.group or "") % 2 else replace(row, labels=None, mask=None) for row in full.rows],
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, sparse: Path, quick: Quick) -> Path:
    """Two seeds of a classifier."""
    folder = tmp_path_factory.mktemp("study")
    for seed in (0, 1):
        train(quick(sparse, TRANSFER, epochs=2, seed=seed), folder / "runs" / f"ft-100pct-seed{seed}")
    return folder


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory, sparse: Path, quick: Quick) -> Path:
    folder = tmp_path_factory.mktemp("segmenter") / "run"
    train(quick(sparse, DEDL, epochs=2), folder)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def held_out(run: Path) -> set[str]:
    split = json.loads((run / "split.json").read_text())
    return {*split["val"], *split["test"]}


@pytest.mark.long
def test_a_study_is_asked_and_images_that_any_seed_tests_are_left_alone(
    tmp_path: Path, study: Path, sparse: Path
) -> None:
    made = suggest(study, sparse, tmp_path / "next.csv", options=SuggestOptions(count=100, per_patient=0))
    chosen = rows(made.files[0])
    runs = sorted((study / "runs").iterdir())
    bare = {row.id for row in load_manifest(sparse).rows if row.labels is None}
    assert {row["id"] for row in chosen} == bare - held_out(runs[0]) - held_out(runs[1])
    assert [int(row["rank"]) for row in chosen] == list(range(1, made.chosen + 1))
    assert "all 2 seeds" in made.source
    for row in chosen:
        assert 0 <= float(row["disagreement"]) <= float(row["entropy"]) <= 1
        assert row["why"].count("\n") == 0
        assert row["label"] == ""


@pytest.mark.long
def test_the_same_command_chooses_the_same(tmp_path: Path, study: Path, sparse: Path) -> None:
    for name in ("a", "b"):
        suggest(
            study,
            sparse,
            tmp_path / f"{name}.csv",
            options=SuggestOptions(count=9, strategy=Strategy("both", "typicality")),
        )
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_images_answered_or_skipped_on_the_page_are_not_suggested_though_nothing_is_merged(
    tmp_path: Path, study: Path, sparse: Path
) -> None:
    data = shutil.copytree(sparse, tmp_path / "data")
    run = study / "runs" / "ft-100pct-seed0"

    def chosen(source: Path, **options: Any) -> set[str]:
        made = s4mi.suggest(source, data, tmp_path / "next.csv", count=100, per_patient=0, progress=False, **options)
        return {*made.table["id"]}

    before, cold = chosen(run), chosen(run, cold_start=True)
    labelled, masked, skipped, cleared, *_ = sorted(before)
    space = open_workspace(data)
    of = space.numbers
    space.annotations.set_labels(of[labelled], ("nevus",), Writing("c-1", 0))
    ones = np.ones((48, 48), dtype=np.uint8)
    space.annotations.set_mask(of[masked], ones, Annotated(mask="edited"), Writing("c-1", 0))
    space.annotations.skip(of[skipped], "blurred", Writing("c-1", 0))
    space.annotations.set_labels(of[cleared], ("nevus",), Writing("c-1", 0))
    space.annotations.undo(of[cleared], Writing("c-1", space.annotations.last))
    space.close()
    assert chosen(run) == before - {labelled, skipped}
    assert chosen(run, cold_start=True) == cold - {labelled, masked, skipped}


def test_no_patient_has_more_than_asked_for(tmp_path: Path, study: Path, sparse: Path) -> None:
    made = suggest(study, sparse, tmp_path / "next.csv", options=SuggestOptions(count=100, per_patient=1))
    patients = [row["patient"] for row in rows(made.files[0])]
    assert len(set(patients)) == len(patients)


def test_the_entropy_is_that_of_the_predicted_probabilities(tmp_path: Path, study: Path, sparse: Path) -> None:
    run = study / "runs" / "ft-100pct-seed0"
    suggest(run, sparse, tmp_path / "next.csv", options=SuggestOptions(count=100, strategy=Strategy("entropy", "none")))
    predictor = Predictor((RunModel(run),))
    image_of = {row.id: row.image for row in load_manifest(sparse).rows}
    chosen = rows(tmp_path / "next.csv")
    for row in chosen:
        (p,) = predictor.predict([predictor.read(image_of[row["id"]])])
        assert float(row["entropy"]) == pytest.approx(float(-(p * np.log(p)).sum() / np.log(3)), abs=2e-4)
        assert row["disagreement"] == ""
    values = [float(row["entropy"]) for row in chosen]
    assert values == sorted(values, reverse=True)


def test_k_centre_alone_is_that_of_the_features(tmp_path: Path, study: Path, sparse: Path) -> None:
    run = study / "runs" / "ft-100pct-seed0"
    suggest(
        run,
        sparse,
        tmp_path / "next.csv",
        options=SuggestOptions(count=5, strategy=Strategy("none", "k-centre"), per_patient=0),
    )
    manifest = sorted(load_manifest(sparse).rows, key=lambda row: row.id)
    free = [row for row in manifest if row.id not in held_out(run)]
    pool, known = ([row for row in free if (row.labels is not None) is there] for there in (False, True))
    x, old = (directions(embed_files(run, [row.image for row in part]).features) for part in (pool, known))
    expected = [pool[pick.position].id for pick in k_centre(x, old, count=5, cap=GroupLimit([None] * len(pool)))]
    assert [row["id"] for row in rows(tmp_path / "next.csv")] == expected


@pytest.mark.long
def test_a_cold_start_needs_no_label(tmp_path: Path, sparse: Path, quick: Quick) -> None:
    full = load_manifest(sparse)
    folder = tmp_path / "bare"
    spec = full.spec.model_copy(update={"tasks": (), "classes": (), "mask_values": {}, "root": str(sparse)})
    folder.mkdir()
    write_dataset(folder, spec, [replace(row, labels=None, mask=None) for row in full.rows])
    dino = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}
    train(quick(folder, dino, epochs=1), tmp_path / "pre")
    options = SuggestOptions(count=6, strategy=Strategy("none", "typicality"), cold=True, format="label-studio")
    made = suggest(tmp_path / "pre", folder, tmp_path / "next.csv", options=options)
    chosen = rows(made.files[0])
    assert (made.chosen, made.candidates) == (6, 60)
    assert all("typical of" in row["why"] and row["entropy"] == "" for row in chosen)
    tasks = json.loads((tmp_path / "next.label-studio.json").read_text())
    assert [task["data"]["id"] for task in tasks] == [row["id"] for row in chosen]
    assert "the data set has no official split" in made.note


@pytest.mark.long
def test_after_a_cold_start_nothing_is_scored_on_images_that_pre_training_saw(
    tmp_path: Path, sparse: Path, quick: Quick
) -> None:
    full = load_manifest(sparse)
    folder = tmp_path / "bare"
    spec = full.spec.model_copy(update={"tasks": (), "classes": (), "mask_values": {}, "root": str(sparse)})
    folder.mkdir()
    write_dataset(folder, spec, [replace(row, labels=None, mask=None) for row in full.rows])
    simclr = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}
    train(quick(folder, simclr, epochs=1), tmp_path / "runs" / "pre")
    for source in (tmp_path / "runs" / "pre", tmp_path / "runs"):
        with pytest.raises(S4miError, match=r"has features but no predictions.* with --cold-start, or use a run"):
            suggest(source, folder, tmp_path / "next.csv", options=SuggestOptions(count=6))
    labels = tmp_path / "next.csv"
    lines = [f"{row.id},{'ab'[n % 2]}" for n, row in enumerate(full.rows[:30])]
    labels.write_text("\n".join(["id,label", *lines]) + "\n")
    result = apply_merge(plan_merge(load_version(folder), {labels: read_annotations(labels)}, MergeRules()))
    assert result.first == ("multiclass",)
    finetune = {**TRANSFER, "pretrained": str(tmp_path / "runs" / "pre")}
    with pytest.raises(S4miError, match="had no annotations for multiclass yet, so pre-train again on this") as said:
        train(quick(folder, finetune, epochs=1), tmp_path / "runs" / "finetune")
    assert "in both runs" not in str(said.value)
    train(quick(folder, simclr, epochs=1), tmp_path / "runs" / "pre2")
    again = {**TRANSFER, "pretrained": str(tmp_path / "runs" / "pre2")}
    train(quick(folder, again, epochs=1), tmp_path / "runs" / "finetune")
    assert not suggest(
        tmp_path / "runs" / "pre2", folder, tmp_path / "more.csv",
        options=SuggestOptions(count=3, strategy=Strategy("none", "typicality"), cold=True),
    ).note  # fmt: skip


def test_a_run_of_the_older_classes_is_refused_in_a_line(tmp_path: Path, study: Path, sparse: Path) -> None:
    copy = tmp_path / "data"
    copy.mkdir()
    full = load_manifest(sparse)
    write_dataset(copy, full.spec.model_copy(update={"root": str(sparse)}), full.rows)
    path = tmp_path / "labels.csv"
    bare = next(row for row in full.rows if row.labels is None)
    path.write_text(f"id,label\n{bare.id},rare\n")
    apply_merge(plan_merge(load_version(copy), {path: read_annotations(path)}, MergeRules(new_classes=("rare",))))
    with pytest.raises(
        S4miError, match=r"was trained on the classes .*, but .* has .*, rare; use a run of these classes"
    ):
        suggest(study, copy, tmp_path / "next.csv", options=SuggestOptions(count=3))


@pytest.mark.long
@pytest.mark.parametrize("format_", ["coco", "label-studio"])
def test_predicted_masks_go_out_and_come_back_the_same(
    tmp_path: Path, segmenter: Path, sparse: Path, format_: Any
) -> None:
    """Without corrections, merged masks equal those that `s4mi predict` writes."""
    copy = tmp_path / "data"
    copy.mkdir()
    full = load_manifest(sparse)
    write_dataset(copy, full.spec.model_copy(update={"root": str(sparse)}), full.rows)
    made = suggest(segmenter, copy, tmp_path / "next.csv", options=SuggestOptions(count=4, format=format_))
    chosen = [row["id"] for row in rows(made.files[0])]
    path = made.files[1]
    contents = json.loads(path.read_text())
    if format_ == "coco":
        del contents["info"]
    else:
        for task in contents:
            task["annotations"] = [{"result": task["predictions"][0]["result"]}]
    path.write_text(json.dumps(contents))
    apply_merge(plan_merge(load_version(copy), {path: read_annotations(path)}, MergeRules(empty=True)))
    predict_run(segmenter, [sparse], tmp_path / "out")
    for row in load_version(copy).rows:
        if row.id in chosen:
            assert row.mask is not None
            predicted = read_mask(tmp_path / "out" / f"{row.id}.png", full.spec.mask_values)
            assert np.array_equal(read_mask(row.mask, full.spec.mask_values), predicted)


@pytest.mark.long
def test_the_networks_of_cross_teaching_disagree(tmp_path: Path, sparse: Path, quick: Quick) -> None:
    train(quick(sparse, CROSS, epochs=1), tmp_path / "run")
    committee = Committee(tmp_path / "run")
    assert len(committee.members) == 2
    (opinion,) = committee.score([load_manifest(sparse).rows[0].image])
    assert not isinstance(opinion, str)
    assert opinion.disagreement is not None
    assert 0 <= opinion.disagreement <= opinion.entropy <= 1
    made = suggest(
        tmp_path / "run",
        sparse,
        tmp_path / "n.csv",
        options=SuggestOptions(count=3, strategy=Strategy("disagreement", "none")),
    )
    values = [float(row["disagreement"]) for row in rows(made.files[0])]
    assert values == sorted(values, reverse=True)


def test_a_segmenter_sees_an_image_as_its_encoder_does(segmenter: Path, sparse: Path, quick: Quick) -> None:
    config = RunDir(segmenter).config()
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=32, counts=(), labelled=0)
    method: Any = load_method(make_runtime(config), config, task, RunDir(segmenter).best)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    encoder = next(module for name, module in method.named_modules() if name.endswith("encoder"))
    with torch.no_grad():
        seen = EncoderFeatures(method, method.logits, 32)(images)
        caught: list[Any] = []
        hook = encoder.register_forward_hook(lambda *ran: caught.append(ran[-1]))
        method.logits(images)
        hook.remove()
    assert torch.allclose(seen, caught[0][-1].mean(dim=(2, 3)))


def test_a_broken_image_gets_a_line_and_the_others_go_on(tmp_path: Path, study: Path) -> None:
    folder = tmp_path / "other"
    full = write_synthetic("lesions", folder, count=8, size=32, seed=9)
    write_dataset(folder, full.spec, [replace(row, labels=None, mask=None) for row in full.rows])
    (folder / "images" / "lesion_0003.png").write_bytes(b"no image")
    made = suggest(study, folder, tmp_path / "next.csv", options=SuggestOptions(count=20, per_patient=0))
    assert (made.chosen, made.failed) == (7, 1)
    (error,) = rows(tmp_path / "next.errors.csv")
    assert error["image"].endswith("lesion_0003.png")


def test_bad_input_is_one_line(tmp_path: Path, study: Path, segmenter: Path, sparse: Path, cells: Path) -> None:
    run, out = study / "runs" / "ft-100pct-seed0", tmp_path / "next.csv"
    grey = tmp_path / "grey"
    grey.mkdir()
    full = load_manifest(sparse)
    write_dataset(grey, full.spec.model_copy(update={"channels": "grey", "root": str(sparse)}), full.rows)
    no_masks = tmp_path / "labels"
    no_masks.mkdir()
    spec = full.spec.model_copy(update={"tasks": ("multiclass",), "mask_values": {}, "root": str(sparse)})
    write_dataset(no_masks, spec, [replace(row, mask=None) for row in full.rows])
    for source, dataset, options, message in (
        (run, cells, SuggestOptions(), "was trained on the classes nevus, .*, but .* has tfh_1"),
        (segmenter, no_masks, SuggestOptions(), "is a segmentation run, but .* is for multiclass"),
        (run, grey, SuggestOptions(), "contains greyscale images, but .* was trained on colour images"),
        (
            run,
            sparse,
            SuggestOptions(strategy=Strategy("disagreement", "none")),
            "disagreement needs at least 2 networks, found 1",
        ),
        (tmp_path, sparse, SuggestOptions(), "not a run"),
        (tmp_path, sparse, SuggestOptions(cold=True, strategy=Strategy("none", "typicality")), "not a finished run"),
    ):
        with pytest.raises(S4miError, match=message) as caught:
            suggest(source, dataset, out, options=options)
        assert "\n" not in str(caught.value)
    with pytest.raises(S4miError, match=r"end it in \.csv"):
        suggest(run, sparse, tmp_path / "next.json", options=SuggestOptions())


def test_nothing_left_to_annotate_is_said(tmp_path: Path, study: Path, lesions: Path) -> None:
    with pytest.raises(S4miError, match="all 60 training images are already annotated for multiclass"):
        suggest(study, lesions, tmp_path / "next.csv", options=SuggestOptions())


@pytest.mark.parametrize(
    ("text", "expected"),
    [("random", "random"), ("entropy", "entropy"), ("Entropy + k-centre", "entropy×k-centre"),
     ("typicality*both", "both×typicality")],
)  # fmt: skip
def test_strategies_have_names(text: str, expected: str) -> None:
    assert str(Strategy.parse(text)) == expected


@pytest.mark.parametrize(
    "text", ["entrpy", "entropy×both", "random×entropy", "", "k-centre×typicality", "entropy×entropy"]
)
def test_other_strategies_are_refused(text: str) -> None:
    with pytest.raises(S4miError, match="strategy"):
        Strategy.parse(text)


@pytest.fixture
def elsewhere(tmp_path: Path, sparse: Path) -> Path:
    """The data set in another folder, of which nothing is annotated and every id is as before."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(sparse, folder)
    data = load_manifest(folder)
    write_dataset(folder, data.spec, [replace(row, labels=None, mask=None) for row in data.rows])
    return folder


def test_images_that_a_run_knows_from_another_data_set_are_left_out(
    tmp_path: Path, study: Path, sparse: Path, elsewhere: Path
) -> None:
    run = study / "runs" / "ft-100pct-seed0"
    made = suggest(run, elsewhere, tmp_path / "next.csv", options=SuggestOptions(count=100, per_patient=0))
    labelled = set(json.loads((run / "split.json").read_text())["labelled"])
    everything = {row.id for row in load_manifest(sparse).rows}
    assert {row["id"] for row in rows(made.files[0])} == everything - held_out(run) - labelled
    count = len(held_out(run) | labelled)
    assert made.note == (
        f"{run} was trained on another data set ({sparse}); {count} images that it has trained, validated or tested "
        "with left out"
    )


def test_the_same_ids_of_other_images_are_no_reason_to_leave_them_out(
    tmp_path: Path, study: Path, elsewhere: Path
) -> None:
    data = load_manifest(elsewhere)
    for row in data.rows:
        Image.fromarray(255 - np.asarray(Image.open(row.image))).save(row.image)
    run = study / "runs" / "ft-100pct-seed0"
    made = suggest(run, elsewhere, tmp_path / "next.csv", options=SuggestOptions(count=100, per_patient=0))
    assert {row["id"] for row in rows(made.files[0])} == {row.id for row in data.rows}
    assert f"{len(data.rows)} images with an id of that data set but other content" in made.note


def test_a_run_of_an_older_version_says_that_it_cannot_tell(tmp_path: Path, study: Path, elsewhere: Path) -> None:
    run = tmp_path / "older"
    shutil.copytree(study / "runs" / "ft-100pct-seed0", run)
    (run / "data.json").unlink()
    made = suggest(run, elsewhere, tmp_path / "next.csv", options=SuggestOptions(count=5))
    assert made.note.endswith("; which of these images it has seen is unknown")


def test_in_its_own_data_set_there_is_no_note(tmp_path: Path, study: Path, sparse: Path) -> None:
    assert suggest(study, sparse, tmp_path / "next.csv", options=SuggestOptions(count=5)).note == ""
