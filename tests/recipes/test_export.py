"""An exported model predicts what its run predicts, or it is not written."""

import csv
import json
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import s4mi
from conftest import DEDL, TRANSFER
from s4mi.config import RunConfig
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.errors import S4miError
from s4mi.inference.export import formats
from s4mi.inference.load import load_exported
from s4mi.inference.model_metadata import FORMAT, KEY, read_metadata
from s4mi.inference.run_model import RunModel
from s4mi.recipes.export import export_run
from s4mi.recipes.predict import predict_run
from s4mi.recipes.train import train
from s4mi.records import read_record
from s4mi.reporting.writers.model_card import card_mark

Quick = Callable[..., RunConfig]

DINO = {
    "name": "dino", "backbone": "tiny_resnet", "weights": "none", "hidden": 16, "bottleneck": 8, "prototypes": 12,
    "local_crops": 0,
}  # fmt: skip


class Made:
    """A run of each task and its ONNX file, each made on first use, as writing one takes seconds."""

    def __init__(self, folder: Path, lesions: Path, cells: Path, quick: Quick) -> None:
        self.folder, self.lesions, self.cells, self.quick = folder, lesions, cells, quick

    def run(self, kind: str) -> Path:
        """The multi-class one goes through another size and normalises red; the segmenter learns from tiles."""
        run = self.folder / kind
        if run.exists():
            return run
        if kind == "segmentation":
            train(self.quick(self.lesions, {**DEDL, "autoencoder": [16]}, epochs=2, data={"tile": 20}), run)
        elif kind == "multiclass":
            red = {"red_channel_normalisation": True, "resize_through": 40}
            train(self.quick(self.lesions, TRANSFER, epochs=1, data=red), run)
        else:
            train(self.quick(self.cells, TRANSFER, epochs=1), run)
        return run

    def model(self, kind: str) -> Path:
        path = self.folder / "models" / kind / "model.onnx"
        if not path.exists():
            export_run(self.run(kind), path)
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, lesions: Path, cells: Path, quick: Quick) -> Made:
    return Made(tmp_path_factory.mktemp("made"), lesions, cells, quick)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of other sizes than the network's, one of them 16-bit grey."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, size in (("wide.png", (30, 70)), ("high.jpg", (90, 41)), ("small.png", (17, 25))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    Image.fromarray(generator.integers(0, 4096, (50, 60), dtype=np.uint16)).save(folder / "deep.png")
    return folder


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["multiclass", pytest.param("multilabel", marks=pytest.mark.slow)])
@pytest.mark.parametrize("raw", [False, True], ids=["calibrated", "raw"])
def test_predictions_of_the_file_are_those_of_the_run(
    kind: str, raw: bool, made: Made, images: Path, tmp_path: Path
) -> None:
    predict_run(made.run(kind), [images], tmp_path / "run", raw=raw)
    predict_run(made.model(kind), [images], tmp_path / "file", raw=raw)
    own, given = predictions(tmp_path / "run"), predictions(tmp_path / "file")
    assert len(own) == len(given) == 4
    classes = read_record(made.run(kind)).classes
    for one, other in zip(own, given, strict=True):
        assert [float(other[name]) for name in classes] == pytest.approx(
            [float(one[name]) for name in classes], abs=1e-4
        )
        assert {key: one[key] for key in ("id", "decision")} == {key: other[key] for key in ("id", "decision")}


@pytest.mark.long
def test_masks_of_the_file_are_those_of_the_run(made: Made, images: Path, tmp_path: Path) -> None:
    predict_run(made.run("segmentation"), [images], tmp_path / "run")
    predict_run(made.model("segmentation"), [images], tmp_path / "file")
    same = total = 0
    for path in sorted((tmp_path / "run").glob("*.png")):
        with Image.open(path) as own, Image.open(tmp_path / "file" / path.name) as given:
            assert own.size == given.size
            same += int((np.asarray(own) == np.asarray(given)).sum())
            total += own.width * own.height
    assert total == 30 * 70 + 90 * 41 + 17 * 25 + 50 * 60
    assert same >= 0.9999 * total


@pytest.mark.long
@pytest.mark.parametrize("kind", ["multiclass", "segmentation"])
def test_predicting_with_an_onnx_file_imports_no_torch(kind: str, made: Made, images: Path, tmp_path: Path) -> None:
    command = ["s4mi", "predict", *map(str, (made.model(kind), images)), "-o", str(tmp_path / "out")]
    program = (
        f"import sys\nfrom s4mi.cli import main\nsys.argv = {command!r}\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "heavy = {'torch', 'timm', 'lightning_fabric', 'monai', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "4 images predicted" in done.stdout


def test_other_software_finds_all_it_needs_in_the_file(made: Made) -> None:
    model = onnx.load(str(made.model("multiclass")))
    onnx.checker.check_model(model)
    (images,) = model.graph.input
    shape = [dim.dim_param or dim.dim_value for dim in images.type.tensor_type.shape.dim]
    assert (images.name, shape) == ("images", ["batch", 32, 32, 3])
    assert images.type.tensor_type.elem_type == TensorProto.UINT8
    assert [value.name for value in model.graph.output] == ["probabilities", "logits"]
    contents = json.loads({entry.key: entry.value for entry in model.metadata_props}[KEY])
    record = read_record(made.run("multiclass"))
    assert contents["classes"] == record.classes
    assert contents["run"]["config_hash"] == record.config_hash
    assert contents["run"]["split_hash"] == record.split_hash
    assert contents["input"]["resize_through"] == 40
    assert contents["red_channel_normalisation"] is True


@pytest.mark.long
def test_neither_the_file_nor_its_card_names_a_folder(made: Made, tmp_path: Path) -> None:
    path = made.model("multiclass")
    export_run(made.run("multiclass"), tmp_path / "program.pt2")
    with zipfile.ZipFile(tmp_path / "program.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    sources = {str(Path(package.__file__).parent.parent) for package in (s4mi, torch, timm)}  # where their code lies
    for name, content in {path.name: path.read_bytes(), **contents}.items():
        assert not [source for source in sources if source.encode() in content], name
    card = path.with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    for folder in (made.folder, made.lesions):
        assert str(folder) not in load_exported(path).metadata.model_dump_json()
        assert str(folder).encode() not in path.read_bytes()
        assert str(folder) not in card


@pytest.mark.parametrize("kind", ["multiclass", pytest.param("multilabel", marks=pytest.mark.slow)])
def test_the_program_on_the_card_answers_as_predict_does(
    kind: str, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made.model(kind)
    pixels = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model.read_bytes())
    card = model.with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    program = card.split("```python\n")[1].split("```")[0]
    given: dict[str, Any] = {}
    exec(program, given)
    predict_run(made.run(kind), [tmp_path / "image.png"], tmp_path / "out")
    (row,) = predictions(tmp_path / "out")
    assert given["classes"] == read_record(made.run(kind)).classes
    for name, p in zip(given["classes"], given["p"][0], strict=True):
        assert float(p) == pytest.approx(float(row[name]), abs=1e-4)


@pytest.mark.slow
def test_an_archive_of_torch_export_answers_as_the_run_does(made: Made, images: Path, tmp_path: Path) -> None:
    export_run(made.run("multiclass"), tmp_path / "model.pt2")
    predict_run(made.run("multiclass"), [images], tmp_path / "run")
    predict_run(tmp_path / "model.pt2", [images], tmp_path / "file")
    for one, other in zip(predictions(tmp_path / "run"), predictions(tmp_path / "file"), strict=True):
        assert one["decision"] == other["decision"]
        for name in read_record(made.run("multiclass")).classes:
            assert float(other[name]) == pytest.approx(float(one[name]), abs=1e-4)


def test_the_file_knows_of_the_runs_data_what_the_run_does(made: Made) -> None:
    for kind in ("multiclass", "segmentation"):
        own, given = RunModel(made.run(kind)), load_exported(made.model(kind))
        assert (own.info.kind, own.info.classes) == (given.info.kind, given.info.classes)
        assert own.calibration == given.calibration
        assert own.info.spec.rule == given.info.spec.rule
        if kind == "segmentation":
            assert own.info.spec.mask_values == given.info.spec.mask_values
            assert own.info.preprocessing == given.info.preprocessing


@pytest.mark.slow
def test_it_is_compared_on_real_images_and_says_where_there_are_none(
    lesions: Path, quick: Quick, made: Made, tmp_path: Path
) -> None:
    card = made.model("multiclass").with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    assert "on 8 images of its test part" in card
    gone = tmp_path / "run"
    gone.mkdir()
    for path in made.run("multiclass").rglob("*"):
        if path.is_file():
            copy = gone / path.relative_to(made.run("multiclass"))
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    settings = (gone / "config.yaml").read_text(encoding="utf-8").replace(str(lesions), str(tmp_path / "gone"))
    (gone / "config.yaml").write_text(settings, encoding="utf-8")
    check = export_run(gone, tmp_path / "model.onnx").check
    assert (check.real, check.origin) == (False, "random pixels, as no image of its data set could be read")


def test_a_file_that_answers_otherwise_is_not_kept(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slightly_off = onnx.load(str(made.model("multiclass")))
    weights = next(w for w in slightly_off.graph.initializer if w.data_type == TensorProto.FLOAT and len(w.dims) == 2)
    weights.CopyFrom(numpy_helper.from_array(1.5 * numpy_helper.to_array(weights), weights.name))

    def wrong(_model: Any, _facts: Any, path: Path) -> None:
        onnx.save(slightly_off, str(path))

    monkeypatch.setitem(formats.WRITERS, ".onnx", wrong)
    with pytest.raises(S4miError, match=r"model\.onnx: its probabilities differ from the run's by up to .* not kept"):
        export_run(made.run("multiclass"), tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_the_best_run_of_a_study_is_exported(lesions: Path, quick: Quick, tmp_path: Path) -> None:
    for seed in (0, 1):
        train(quick(lesions, TRANSFER, epochs=1, seed=seed), tmp_path / "study" / "runs" / f"transfer-seed{seed}")
    result = export_run(tmp_path / "study", tmp_path / "model.onnx")
    records = [read_record(tmp_path / "study" / "runs" / f"transfer-seed{seed}") for seed in (0, 1)]
    best = max((0, 1), key=lambda seed: getattr(records[seed].val, "f1_macro"))  # noqa: B009
    assert load_exported(result.file).metadata.run.name == f"transfer-seed{best}"
    card = result.card.read_text(encoding="utf-8")
    assert "mean over 2 seeds of the same technique" in card
    assert "Selected among the runs of a study on validation alone" in card


def test_what_is_there_is_not_overwritten_unless_asked(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    with pytest.raises(S4miError, match=r"model\.onnx: already exists; .* --overwrite"):
        export_run(made.run("multiclass"), out)
    assert out.read_text() == "mine"
    (tmp_path / "MODEL_CARD.md").write_text("# My own words\n")
    (tmp_path / "other.MODEL_CARD.md").write_text("# My own words\n")
    with pytest.raises(S4miError, match=r"other\.MODEL_CARD\.md: already exists and is not the card of this run"):
        export_run(made.run("multiclass"), tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()


@pytest.mark.slow
def test_what_is_there_is_replaced_where_asked_and_a_runs_own_card_always(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    out.write_text("mine")
    (tmp_path / "model.MODEL_CARD.md").write_text("mine")
    export_run(made.run("multiclass"), out, overwrite=True)
    assert load_exported(out).metadata.run.name == "multiclass"
    assert not (tmp_path / "MODEL_CARD.md").exists()
    export_run(made.run("multiclass"), tmp_path / "model.pt2")  # the card is this run's own
    assert "`model.onnx`" in (tmp_path / "model.MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_formats_of_two_runs_under_one_name_are_listed_by_a_card_each(
    lesions: Path, quick: Quick, made: Made, tmp_path: Path
) -> None:
    train(quick(lesions, TRANSFER, epochs=1, seed=3), tmp_path / "other")
    one, other = made.run("multiclass"), tmp_path / "other"
    export_run(one, tmp_path / "model.pt2")
    export_run(one, tmp_path / "model.onnx")
    card = export_run(other, tmp_path / "model.onnx", overwrite=True).card
    texts = [path.read_text(encoding="utf-8") for path in (card, tmp_path / "MODEL_CARD.md")]
    assert card.name == "model.onnx.MODEL_CARD.md"
    for text, name, gone, run in zip(texts, ("onnx", "pt2"), ("pt2", "onnx"), (other, one), strict=True):
        assert text.startswith(card_mark(read_record(run)) + "\n")
        assert f"| `model.{name}` |" in text
        assert f"model.{gone}" not in text


@pytest.mark.parametrize(
    ("run", "out", "message"),
    [
        ("multiclass", "model.h5", r"model\.h5: unknown model format \.h5; end it in \.onnx .* or \.pt2"),
        ("multiclass", "model", "model: no file suffix; end it in"),
        ("dino", "model.onnx", "learns features and makes no predictions; fine-tune it first"),
        ("unfinished", "model.onnx", r"record\.json: not found, so this is not a finished run; finish it with"),
        ("nowhere", "model.onnx", "nowhere: no such folder; pass the folder of a run or of a study"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    run: str, out: str, message: str, made: Made, lesions: Path, quick: Quick, tmp_path: Path
) -> None:
    folder = made.folder / run
    if run == "multiclass":
        folder = made.run(run)
    elif run == "dino":
        folder = tmp_path / run
        train(quick(lesions, DINO, epochs=1, health={"patience": 0}), folder)
    elif run == "unfinished":
        folder = tmp_path / run
        folder.mkdir()
        (folder / "config.yaml").write_bytes((made.run("multiclass") / "config.yaml").read_bytes())
    with pytest.raises(S4miError, match=message) as error:
        export_run(folder, tmp_path / "out" / out)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("task", ["multiclass", "segmentation"])
def test_real_lesions_are_answered_alike_by_the_run_and_its_file(
    task: str, real_data: Path, quick: Quick, tmp_path: Path
) -> None:
    """PH²: dermoscopic images, 512 pixels wide, seen by the networks at 64."""
    data, run = tmp_path / "ph2", tmp_path / "run"
    write_import(read_tables(real_data / "ph2", TableOptions(label="diagnosis")), data, naming=DatasetNaming("ph2"))
    method = DEDL if task == "segmentation" else TRANSFER
    train(quick(data, method, epochs=2, data={"image_size": 64, "allow_leakage": True}, task=task), run)
    result = export_run(run, tmp_path / "model.onnx")
    assert (result.check.real, result.check.origin) == (True, "8 images of its test part")
    for name, model in (("own", run), ("given", result.file)):
        predict_run(model, [data], tmp_path / name)
    if task == "multiclass":
        pairs = list(zip(predictions(tmp_path / "own"), predictions(tmp_path / "given"), strict=True))
        assert len(pairs) == 200
        for own, given in pairs:
            for name in read_record(run).classes:
                assert float(given[name]) == pytest.approx(float(own[name]), abs=1e-4)
        return
    paths = sorted((tmp_path / "own").glob("*.png"))
    assert len(paths) == 200
    same = [np.asarray(Image.open(path)) == np.asarray(Image.open(tmp_path / "given" / path.name)) for path in paths]
    assert sum(one.sum() for one in same) >= 0.9999 * sum(one.size for one in same)


def foreign(path: Path, **metadata: str) -> Path:
    """An ONNX file whose output is its input."""
    same = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", same[:1], same[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.mark.long
@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_a_disk_that_is_full_is_an_error_of_the_system(made: Made, tmp_path: Path, ending: str) -> None:
    run, old = made.run("multiclass"), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, old[1]))
    try:
        with pytest.raises((OSError, S4miError)):
            export_run(run, tmp_path / f"model{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_a_damaged_file_is_one_line(ending: str, images: Path, tmp_path: Path) -> None:
    (tmp_path / f"model{ending}").write_bytes(b"neither")
    with pytest.raises(S4miError, match=r"model.*: not a valid (ONNX file|torch\.export archive)") as error:
        predict_run(tmp_path / f"model{ending}", [images], tmp_path / "out")
    assert "\n" not in str(error.value)


def test_files_of_other_software_and_of_a_newer_s4mi_are_one_line(made: Made, images: Path, tmp_path: Path) -> None:
    facts = load_exported(made.model("multiclass")).metadata
    newer = facts.model_dump(mode="json") | {"format": FORMAT + 1, "version": "9.0", "more": "to know"}
    for path, message in (
        (foreign(tmp_path / "theirs.onnx"), r"theirs\.onnx: no s4mi metadata, .* use a file written by s4mi export"),
        (
            foreign(tmp_path / "newer.onnx", s4mi=json.dumps(newer)),
            r"has format 2 of s4mi 9\.0, .* --upgrade",
        ),
        (foreign(tmp_path / "broken.onnx", s4mi="{"), "metadata are damaged"),
        (tmp_path / "gone.onnx", r"gone\.onnx: does not exist; create it with: s4mi export"),
    ):
        with pytest.raises(S4miError, match=message) as error:
            predict_run(path, [images], tmp_path / "out")
        assert "\n" not in str(error.value)


def test_without_the_extra_there_is_one_line(
    made: Made, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, work in (
        ("onnxscript", lambda: export_run(made.run("multiclass"), tmp_path / "model.onnx")),
        ("onnxruntime", lambda: predict_run(made.model("multiclass"), [images], tmp_path / "out")),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(S4miError, match=rf"needs the package {module!r}; .*pip install 's4mi\[onnx\]'"):
                work()


def test_facts_survive_their_file(made: Made) -> None:
    model = made.model("segmentation")
    facts = load_exported(model).metadata
    assert read_metadata(facts.model_dump_json(), model) == facts
