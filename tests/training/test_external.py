"""External test sets: classes by name, leaks left out, the scores those of `predict` and scikit-learn."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from PIL import Image
from sklearn.metrics import f1_score, recall_score
from torch import Tensor

from s4mi.config import RunConfig
from s4mi.config.external_tests import ExternalTestConfig
from s4mi.contract import Extractor
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.masks import read_mask
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.spec import DatasetSpec, load_spec
from s4mi.errors import S4miError
from s4mi.inference.predictor import Predictor
from s4mi.inference.run_model import RunModel
from s4mi.recipes.train import train
from s4mi.records import RunRecord, read_record
from s4mi.records.calibration import read_calibration
from s4mi.training import external
from s4mi.training.external_data import external_data
from s4mi.training.external_state import pending_tests
from s4mi.training.features import StoredFeatures

Quick = Callable[..., RunConfig]
FROZEN: dict[str, Any] = {"name": "frozen", "backbone": "tiny_resnet", "weights": "none", "join": []}
DEDL: dict[str, Any] = {"name": "dedl", "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8]}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lesions of other patients: classes in another order, grey images, of two sizes."""
    folder = tmp_path_factory.mktemp("clinic") / "data"
    write_synthetic("lesions", folder, count=24, size=64, seed=77)
    manifest = load_manifest(folder)
    rows = []
    for number, row in enumerate(manifest.rows):
        grey = Image.open(row.image).convert("L")
        if number % 2:
            grey = grey.resize((80, 56))
            if row.mask is not None:
                Image.open(row.mask).resize((80, 56), Image.Resampling.NEAREST).save(row.mask)
        grey.save(row.image)
        rows.append(replace(row, id=f"clinic-{row.id}"))
    spec = manifest.spec.model_copy(update={"name": "clinic", "classes": tuple(reversed(manifest.spec.classes))})
    write_dataset(folder, spec, rows)
    return folder


def trained(config: RunConfig, run: Path, **more: Any) -> RunRecord:
    record = train(config, run, **more)
    assert isinstance(record, RunRecord)
    return record


def test_scores_are_those_of_predict_and_scikit_learn(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path
) -> None:
    config = quick(lesions, FROZEN, tests={"clinic_b": {"path": clinic}})
    record = trained(config, tmp_path / "run")
    result = record.external["clinic_b"]
    assert record == read_record(tmp_path / "run")
    assert (result.dataset, result.images, result.missing, result.additional, result.leaks) == ("clinic", 24, [], {}, 0)

    classes = load_spec(lesions).classes
    assert classes != load_spec(clinic).classes
    names = [row.labels[0] for row in load_manifest(clinic).rows if row.labels]
    p = probabilities(tmp_path / "run", clinic)
    predicted = [classes[k] for k in p.argmax(axis=1)]
    assert result.scores.kind == "classification"
    assert result.scores.f1_macro == pytest.approx(f1_score(names, predicted, average="macro", zero_division=0))
    assert result.scores.recall_macro == pytest.approx(recall_score(names, predicted, average="macro", zero_division=0))
    assert result.calibration is not None
    right = np.array([classes.index(name) for name in names])
    by_hand = float(-np.log(p[np.arange(len(right)), right]).mean())
    assert result.calibration.nll_calibrated == pytest.approx(by_hand, abs=1e-4)

    rows = polars.read_csv(tmp_path / "run" / "external" / "clinic_b_predictions.csv")
    assert rows["image"].n_unique() == 24
    assert set(rows["class"]) == set(classes)
    drop = result.drop(record.test, "f1_macro")
    assert record.test is not None
    assert record.test.kind == "classification"
    assert drop == record.test.f1_macro - result.scores.f1_macro


def probabilities(run: Path, folder: Path) -> np.ndarray:
    """(N, K) calibrated probabilities of `predict` for the files of a data set."""
    predictor = Predictor((RunModel(run),), overlap=0.0)
    images = [predictor.read(row.image) for row in load_manifest(folder).rows]
    return np.stack([page.reshape(-1) for page in predictor.predict(images)])


def test_masks_are_scored_as_predict_draws_them_whatever_their_codes(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path
) -> None:
    """The external masks have other codes, and the name of the lesion is another."""
    other = tmp_path / "clinic"
    shutil.copytree(clinic, other)
    manifest = load_manifest(other)
    background, lesion = manifest.spec.mask_classes
    for row in manifest.rows:
        assert row.mask is not None
        Image.fromarray(np.where(np.asarray(Image.open(row.mask)) > 0, 3, 9).astype(np.uint8)).save(row.mask)
    spec = manifest.spec.model_copy(update={"mask_values": {9: "skin", 3: "tumour"}})
    write_dataset(other, spec, manifest.rows)
    tests: dict[str, Any] = {"b": {"path": other, "classes": {"tumour": lesion}}}
    record = trained(quick(lesions, DEDL, task="segmentation", epochs=1, tests=tests), tmp_path / "run")
    result, model = record.external["b"], RunModel(tmp_path / "run")
    both = either = 0
    for row in load_manifest(other).rows:
        assert row.mask is not None
        drawn, true = model.mask(row.image) == 1, np.asarray(Image.open(row.mask)) == 3
        both, either = both + (drawn & true).sum(), either + (drawn | true).sum()
    assert result.scores.kind == "segmentation"
    assert result.scores.iou == pytest.approx(both / either)
    assert result.classes == [background, lesion]
    assert result.calibration is not None
    rows = polars.read_csv(tmp_path / "run" / "external" / "b_images.csv")
    assert rows["iou"].mean() == pytest.approx(result.scores.iou_image, abs=1e-5)


def test_multilabel_sets_are_scored_on_the_labels_that_both_have(cells: Path, quick: Quick, tmp_path: Path) -> None:
    other = tmp_path / "clinic"
    write_synthetic("cells", other, count=20, size=48, seed=9)
    manifest = load_manifest(other)
    lost, *kept = manifest.spec.classes
    rows = [
        replace(row, labels=tuple(name for name in row.labels or () if name != lost) + (("rare",) if n < 3 else ()))
        for n, row in enumerate(manifest.rows)
    ]
    write_dataset(other, manifest.spec.model_copy(update={"classes": ("rare", *reversed(kept))}), rows)
    config = quick(cells, FROZEN, task="multilabel", tests={"b": {"path": other}})
    result = trained(config, tmp_path / "run").external["b"]
    assert (result.missing, result.additional, result.classes) == ([lost], {"rare": 3}, kept)
    p = probabilities(tmp_path / "run", other)
    calibration = read_calibration(tmp_path / "run")
    assert calibration is not None
    # A temperature does not move 1/2.
    predicted = p[:, 1:] > 0.5
    truth = np.array([[name in (row.labels or ()) for name in kept] for row in rows])
    assert result.scores.kind == "classification"
    assert result.scores.f1_micro == pytest.approx(f1_score(truth, predicted, average="micro", zero_division=0))
    assert len(result.notes) == 2


def test_unknown_classes_are_left_out_and_missing_ones_named(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path
) -> None:
    other = tmp_path / "clinic"
    shutil.copytree(clinic, other)
    manifest = load_manifest(other)
    first, *rest = manifest.spec.classes
    renamed = [replace(row, labels=("unheard of",)) if row.labels == (first,) else row for row in manifest.rows]
    write_dataset(other, manifest.spec.model_copy(update={"classes": ("unheard of", *rest)}), renamed)
    result = trained(quick(lesions, FROZEN, tests={"b": {"path": other}}), tmp_path / "run").external["b"]
    gone = sum(row.labels == ("unheard of",) for row in renamed)
    assert gone > 0
    assert (result.missing, result.additional) == ([first], {"unheard of": gone})
    assert result.images == 24 - gone


@pytest.mark.parametrize(
    ("classes", "settings", "message"),
    [
        (("x", "y", "z"), {}, r"tests\.b: .*has no class of the run: x, y, z there, .* set tests\.b\.classes"),
        (("x", "y", "z"), {"classes": {"q": "x"}}, r"classes: has no class 'q'"),
        (("x", "y", "z"), {"classes": {"x": "nothing"}}, r"classes: the run has no class 'nothing'"),
        (None, {"part": "val"}, r"has no image in its part 'val'"),
    ],
)
def test_sets_that_do_not_fit_are_refused_before_training(
    classes: tuple[str, ...] | None, settings: dict[str, Any], message: str, lesions: Path, clinic: Path, quick: Quick,
    tmp_path: Path,
) -> None:  # fmt: skip
    other = tmp_path / "clinic"
    shutil.copytree(clinic, other)
    manifest = load_manifest(other)
    if classes is not None:
        name_of = dict(zip(manifest.spec.classes, classes, strict=True))
        rows = [replace(row, labels=tuple(name_of[label] for label in row.labels or ())) for row in manifest.rows]
        write_dataset(other, manifest.spec.model_copy(update={"classes": classes}), rows)
    config = quick(lesions, FROZEN, tests={"b": {"path": other, **settings}})
    with pytest.raises(S4miError, match=message):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_names_of_classes_of_both_tasks_are_given_together(lesions: Path, clinic: Path) -> None:
    """A study with heads for classes and for masks has one setting for both."""
    own, theirs = load_spec(lesions), load_spec(clinic)
    named = {theirs.classes[0]: own.classes[0], theirs.mask_classes[1]: own.mask_classes[1]}
    for kind in ("multiclass", "segmentation"):
        data = external_data(
            ExternalTestConfig(path=clinic, classes=named), own, kind, name="b", classes=own.classes_of(kind)
        )  # fmt: skip
        assert data.shared.names[-1] in own.classes_of(kind)


def test_other_tasks_and_missing_folders_are_refused(lesions: Path, cells: Path, quick: Quick, tmp_path: Path) -> None:
    config = quick(lesions, FROZEN, tests={"b": {"path": cells}})
    with pytest.raises(S4miError, match="annotated for multilabel and segmentation, but the run is multiclass"):
        train(config, tmp_path / "run")
    with pytest.raises(S4miError, match="nowhere"):
        train(quick(lesions, FROZEN, tests={"b": {"path": tmp_path / "nowhere"}}), tmp_path / "run")


def with_own_images(clinic: Path, lesions: Path, out: Path, ids: list[str], *, quality: int | None) -> Path:
    """The clinic's images and some of the run's, as they are or saved as JPEG."""
    shutil.copytree(clinic, out)
    manifest = load_manifest(out)
    rows: list[Row] = list(manifest.rows)
    for row in load_manifest(lesions).rows:
        if row.id in ids:
            image = out / "images" / f"own-{row.id}{'.png' if quality is None else '.jpg'}"
            if quality is None:
                shutil.copy(row.image, image)
            else:
                Image.open(row.image).convert("RGB").save(image, quality=quality)
            rows.append(replace(row, id=f"own-{row.id}", image=image, mask=None, group=None))
    write_dataset(out, manifest.spec, rows)
    return out


@pytest.mark.parametrize("quality", [None, 90], ids=["copied", "saved again"])
def test_images_that_the_run_has_seen_are_left_out(
    quality: int | None, lesions: Path, clinic: Path, quick: Quick, tmp_path: Path
) -> None:
    trained(quick(lesions, FROZEN, label_fraction=50), tmp_path / "first")
    split = polars.read_json(tmp_path / "first" / "split.json")
    part = {name: split[name].explode().to_list() for name in ("train", "val", "test", "labelled")}
    unlabelled = next(name for name in part["train"] if name not in part["labelled"])
    seen = [part["labelled"][0], unlabelled, part["val"][0]]
    other = with_own_images(clinic, lesions, tmp_path / "clinic", [*seen, part["test"][0]], quality=quality)
    config = quick(lesions, FROZEN, label_fraction=50, tests={"b": {"path": other}})
    result = trained(config, tmp_path / "run").external["b"]
    assert (result.leaks, result.images) == (3, 25)
    predicted = set(polars.read_csv(tmp_path / "run" / "external" / "b_predictions.csv")["image"])
    assert {f"own-{name}" for name in seen} & predicted == set()
    assert f"own-{part['test'][0]}" in predicted
    assert "left out" in result.notes[0]


def test_a_set_of_training_images_is_refused_and_the_run_is_kept(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    other = tmp_path / "clinic"
    shutil.copytree(lesions, other)
    trained(quick(lesions, FROZEN), tmp_path / "first")
    seen = polars.read_json(tmp_path / "first" / "split.json")["train"].explode().to_list()
    manifest = load_manifest(other)
    write_dataset(other, manifest.spec, [row for row in manifest.rows if row.id in seen])
    with pytest.raises(S4miError, match=r"all .* images are among the run's own images"):
        train(quick(lesions, FROZEN, tests={"b": {"path": other}}), tmp_path / "run")
    assert read_record(tmp_path / "run").external == {}


def test_without_its_own_images_a_run_finds_identical_files_and_says_so(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(lesions, own)
    trained(quick(own, FROZEN), tmp_path / "run")
    seen = polars.read_json(tmp_path / "run" / "split.json")["train"].explode().to_list()
    other = with_own_images(clinic, lesions, tmp_path / "clinic", seen[:2], quality=None)
    shutil.rmtree(own)
    record = trained(quick(own, FROZEN, tests={"b": {"path": other}}), tmp_path / "run", resume=True)
    assert record.external["b"].leaks == 2
    assert any("near-duplicates" in note for note in record.external["b"].notes[1:])


def test_an_interrupted_evaluation_goes_on_without_training(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = {name: {"path": clinic, "part": "all"} for name in ("a", "b", "c")}
    config, run = quick(lesions, FROZEN, tests=tests), tmp_path / "run"
    scored: list[str] = []
    real = external._write_files

    def stops_at_b(evaluation: Any, folder: Path, name: str) -> None:
        if name == "b" and "a" in scored and len(scored) == 1:
            raise KeyboardInterrupt
        scored.append(name)
        real(evaluation, folder, name)

    monkeypatch.setattr(external, "_write_files", stops_at_b)
    with pytest.raises(KeyboardInterrupt):
        train(config, run)
    assert [*read_record(run).external] == ["a"]
    weights = (run / "checkpoints" / "best.safetensors").stat()
    scored.append("resumed")
    record = trained(config, run, resume=True)
    assert scored == ["a", "resumed", "b", "c"]
    assert [*record.external] == ["a", "b", "c"]
    after = (run / "checkpoints" / "best.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns) == (weights.st_ino, weights.st_mtime_ns)
    assert trained(config, run, resume=True) == record
    assert len(scored) == 4


def test_a_finished_run_is_scored_on_sets_that_are_added_or_change(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "clinic"
    shutil.copytree(clinic, other)
    trained(quick(lesions, FROZEN), run)
    config = quick(lesions, FROZEN, tests={"b": {"path": other}})
    first = trained(config, run, resume=True)
    assert first.external["b"].images == 24
    assert pending_tests(config, run, first) == []
    manifest = load_manifest(other)
    write_dataset(other, manifest.spec, manifest.rows[:20])
    assert pending_tests(config, run, first) == ["b"]
    assert trained(config, run, resume=True).external["b"].images == 20
    shutil.rmtree(other)
    assert pending_tests(config, run, read_record(run)) == []  # its result stands


def test_mask_classes_that_one_side_lacks(tmp_path: Path) -> None:
    """By hand: the run knows tumour and oedema, the clinic tumour and necrosis."""
    own = DatasetSpec(
        name="own", tasks=("segmentation",), mask_values={0: "background", 1: "oedema", 2: "tumour"}
    )  # fmt: skip
    folder = tmp_path / "clinic"
    folder.mkdir()
    Image.new("L", (8, 8)).save(folder / "image.png")
    mask = np.array([[0, 7, 7, 5], [5, 0, 0, 7]], dtype=np.uint8).repeat(4, axis=0).repeat(2, axis=1)
    Image.fromarray(mask).save(folder / "mask.png")
    theirs = DatasetSpec(name="b", tasks=("segmentation",), mask_values={0: "none", 5: "necrosis", 7: "tumour"})
    write_dataset(folder, theirs, [Row("1", folder / "image.png", folder / "mask.png", None, None, None, 2)])
    data = external_data(
        ExternalTestConfig(path=folder), own, "segmentation", name="b", classes=own.mask_classes
    )  # fmt: skip
    assert data.shared.names == ("background", "tumour")
    assert data.missing == ("oedema",)
    assert [*data.additional] == ["necrosis"]
    read = read_mask(folder / "mask.png", data.manifest.spec.mask_values)
    assert read[0, ::2].tolist() == [0, 2, 2, 255]
    assert data.shared.of_masks(read)[4, ::2].tolist() == [255, 0, 0, 1]
    predicted = np.array([[0, 1, 2]], dtype=np.uint8)
    assert data.shared.of_masks(predicted).tolist() == [[0, 0, 1]]


def test_evaluate_takes_another_data_set(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path, s4mi: Callable[..., Any]
) -> None:
    run = tmp_path / "run"
    trained(quick(lesions, FROZEN), run)
    done = s4mi("evaluate", run, "--on", clinic, "--name", "clinic_b")
    assert done.returncode == 0, done.stderr
    assert "clinic_b" in done.stdout
    result = read_record(run).external["clinic_b"]
    assert (run / "external" / "clinic_b_predictions.csv").exists()
    assert f"{result.scores.f1_macro:.3f}" in done.stdout  # type: ignore[union-attr]
    first, *_ = load_manifest(clinic).spec.classes
    wrong = s4mi("evaluate", run, "--on", clinic, "--class", first)
    assert wrong.returncode == 1
    assert "THEIRS=OURS" in wrong.stderr
    assert s4mi("evaluate", run, "--on", clinic, "--name", "a/b").returncode == 1


def test_labels_that_are_not_known_are_not_scored(cells: Path, quick: Quick, tmp_path: Path) -> None:
    """Of every other image the first class is not known, and of the last image nothing is that the run knows."""
    other = tmp_path / "clinic"
    write_synthetic("cells", other, count=20, size=48, seed=9)
    manifest = load_manifest(other)
    first, *rest = classes = list(manifest.spec.classes)
    theirs = ["their own", *rest, "rare"]
    rows = [
        replace(
            row,
            labels=tuple(name for name in row.labels or () if name != first or n % 2) if n < 19 else (),
            unknown=() if n % 2 and n < 19 else (first,) if n < 19 else tuple(classes),
        )
        for n, row in enumerate(manifest.rows)
    ]
    names = dict(zip(classes, theirs, strict=False))
    renamed = [
        replace(row, **{key: tuple(names[name] for name in getattr(row, key)) for key in ("labels", "unknown")})
        for row in rows
    ]
    write_dataset(other, manifest.spec.model_copy(update={"classes": tuple(theirs)}), renamed)
    tests: dict[str, Any] = {"b": {"path": other, "classes": {"their own": first}}}
    result = trained(quick(cells, FROZEN, task="multilabel", tests=tests), tmp_path / "run").external["b"]
    assert result.images == 19
    p = probabilities(tmp_path / "run", other)[:19]
    truth = np.array([[name in (row.labels or ()) for name in classes] for row in rows[:19]])
    known = np.array([[name not in row.unknown for name in classes] for row in rows[:19]])
    assert result.scores.kind == "classification"
    assert not known.all()
    expected = f1_score(truth[known], p[known] > 0.5, average="binary", zero_division=0)
    assert result.scores.f1_micro == pytest.approx(expected)
    wrong = f1_score(truth, p > 0.5, average="micro", zero_division=0)
    assert result.scores.f1_micro != pytest.approx(wrong)


def test_features_of_an_external_set_are_computed_for_the_first_run_alone(
    lesions: Path, clinic: Path, quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    original = StoredFeatures._compute

    def counting(self: StoredFeatures, extractor: Extractor, images: Tensor) -> Any:
        computed.append(len(images))
        return original(self, extractor, images)

    monkeypatch.setattr(StoredFeatures, "_compute", counting)
    options: dict[str, Any] = {"tests": {"b": {"path": clinic}}, "data": {"cache": tmp_path / "cache"}}
    first, second = (trained(quick(lesions, FROZEN, seed=seed, **options), tmp_path / f"{seed}") for seed in (0, 1))
    assert sum(computed) == 60 + 24
    assert first.external["b"].scores != second.external["b"].scores
