"""Functions that write files give back what is in them."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import polars
import pytest
from PIL import Image

import s4mi
from conftest import DEDL, TRANSFER
from made_records import record, write_run
from parsed_page import Page
from s4mi.config import RunConfig
from s4mi.errors import S4miError

Quick = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Quick) -> dict[str, s4mi.Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: s4mi.train(quick(lesions, method, epochs=1), folder / name, progress=False)
        for name, method in (("classifier", TRANSFER), ("segmenter", DEDL))
    }


@pytest.fixture
def images(tmp_path: Path, lesions: Path) -> Path:
    """Three images with a name to escape, and one that is broken."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        shutil.copy(lesions / "images" / f"lesion_000{number}.png", folder / f"<b>{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_predictions_of_a_classifier_are_a_table(runs: dict[str, s4mi.Run], images: Path, tmp_path: Path) -> None:
    made = s4mi.predict(runs["classifier"], images, tmp_path / "out", progress=False)
    assert (made.images, made.failed) == (3, 1)
    assert made.errors == tmp_path / "out" / "errors.csv"
    assert made.errors.is_file()
    assert made.table["id"].to_list() == [f"<b>{number}.png" for number in range(3)]
    shown = Page(made._repr_html_())
    assert "<b>0.png" in shown.text
    assert not shown.all("b")


def test_predictions_of_a_segmenter_are_masks_with_a_table_of_measurements(
    runs: dict[str, s4mi.Run], images: Path, tmp_path: Path
) -> None:
    model = s4mi.load(runs["segmenter"])
    made = s4mi.predict(model, [images / "<b>0.png", images / "<b>1.png"], tmp_path / "out", overlay=True)
    assert made.errors is None
    assert {path.name for path in made.output.glob("*.png")} == {"<b>0.png", "<b>1.png"}
    assert made.table["class"].unique().to_list() == ["lesion"]
    assert len(Page(made._repr_html_()).all("img")) == 2
    again = s4mi.predict(model, images / "<b>0.png", tmp_path / "out", overlay=True, resume=True)
    assert again.kept == 1
    with pytest.raises(S4miError, match=r"for arrays use s4mi\.load"):
        s4mi.predict(model, [s4mi.Dataset(runs["segmenter"].config.data.path).image(0)], tmp_path / "o")  # type: ignore[list-item]
    with pytest.raises(S4miError, match="unknown format 'pngg'; did you mean 'png'"):
        s4mi.predict(model, images, tmp_path / "o", format="pngg")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("predictions.csv", "id,00,01,decision,entropy\na,0.9,0.1,00,0.5\nb,0.2,0.8,01,0.7\n", ["00", "01"]),
        ("measurements.csv", "id,class,pixels\na,1,20\nb,1,0\n", ["1", "1"]),
    ],
)
def test_a_class_with_the_name_of_a_number_keeps_it(tmp_path: Path, file: str, text: str, names: list[str]) -> None:
    """Such as the grades of a disease, or numbered lesions."""
    (tmp_path / file).write_text(text)
    output = tmp_path / file if file == "predictions.csv" else tmp_path
    table = s4mi.PredictOutput(tmp_path, output, 2, 0).table
    column = table["decision" if file == "predictions.csv" else "class"]
    assert column.to_list() == names


def test_names_and_hashes_of_runs_that_look_like_numbers_stay_as_they_are(tmp_path: Path) -> None:
    hashes = {"config_hash": "12345678e9012345", "split_hash": "0012345678901234"}
    made = record(0.7, fraction=100, seed=0, classes=("00", "01"))
    write_run(tmp_path / "a", made.model_copy(update=hashes))
    table = s4mi.Study(tmp_path).scores
    assert {*table["class"].drop_nulls()} == {"00", "01"}
    assert [{*table[name]} for name in hashes] == [{one} for one in hashes.values()]


def test_explanations_are_a_table_of_means_and_a_sheet(
    runs: dict[str, s4mi.Run], lesions: Path, tmp_path: Path
) -> None:
    made = s4mi.explain(
        runs["classifier"], lesions, tmp_path, methods=["input_gradient"], limit=2, sanity=False, progress=False
    )
    with (tmp_path / "scores.csv").open(newline="") as file:
        scores = [float(row["energy"]) for row in csv.DictReader(file)]
    (row,) = made.table.to_dicts()
    assert row["map"] == "input_gradient"
    assert row["energy"] == pytest.approx(sum(scores) / len(scores), abs=1e-5)
    assert row["randomised"] is None
    shown = Page(made._repr_html_())
    assert "2 images, predicted class" in shown.text
    assert len(shown.all("img")) == 1


def test_embeddings_are_the_parquet_file(runs: dict[str, s4mi.Run], lesions: Path, tmp_path: Path) -> None:
    made = s4mi.embed(runs["classifier"], s4mi.Dataset(lesions), tmp_path / "f.parquet", progress=False)
    assert made.table.equals(polars.read_parquet(tmp_path / "f.parquet"))
    assert len(made.table) == made.images == 60
    assert Page(made._repr_html_()).all("svg")
    with pytest.raises(S4miError, match="unknown projection 'tsne'"):
        s4mi.embed(runs["classifier"], lesions, projection="tsne")  # type: ignore[arg-type]


def test_suggestions_are_a_table_in_order(runs: dict[str, s4mi.Run], lesions: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(lesions, data)
    lines = (data / "manifest.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    seen = {name for part in ("val", "test") for name in _ids(runs["classifier"], part)}
    hidden = [row["id"] for row in rows if row["id"] not in seen][:20]
    with (data / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": "", "mask": ""} if row["id"] in hidden else row for row in rows)
    for row in rows:
        if row["id"] in hidden:  # an image that the run has not seen: it knows images by their content
            path = data / row["image"]
            Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    made = s4mi.suggest(
        runs["classifier"], data, tmp_path / "next.csv", count=5, uncertainty="entropy", diversity="none",
        per_patient=0, progress=False,
    )  # fmt: skip
    assert made.file == tmp_path / "next.csv"
    assert (made.chosen, made.candidates) == (5, 20)
    assert made.table["rank"].to_list() == [1, 2, 3, 4, 5]
    assert set(made.table["id"]) <= set(hidden)
    assert made.table["worth"].is_sorted(descending=True)
    shown = Page(made._repr_html_())
    assert "5 of 20 images without annotation" in shown.text
    sides = [cell["style"].rpartition(":")[2] for cell in shown.all("th")]
    assert sides == ["left", "right", "left"], "numbers to the right, reasons to the left"
    for options, message in (
        ({"uncertainty": "entropie"}, "unknown uncertainty 'entropie'; did you mean 'entropy'"),
        ({"count": 0}, "count must be at least 1"),
    ):
        with pytest.raises(S4miError, match=message):
            s4mi.suggest(runs["classifier"], data, tmp_path / "n.csv", progress=False, **options)  # type: ignore[arg-type]


def _ids(run: s4mi.Run, part: str) -> list[str]:
    import json

    ids: list[str] = json.loads((run.path / "split.json").read_text())[part]
    return ids
