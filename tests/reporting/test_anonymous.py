"""Reports that leave out the names of patients and images say the same of the runs."""

from pathlib import Path

from conftest import TRANSFER, Command
from made_predictions import predictions_of
from made_records import record
from s4mi.records import ImageScores
from s4mi.reporting.results.anonymous import without_names
from s4mi.reporting.results.runs import ImageResults, ReportRun, load_runs


def test_patients_and_images_are_numbered_alike_in_all_runs(quick, lesions: Path, tmp_path: Path) -> None:
    from s4mi.recipes.train import train

    for seed in (0, 1):
        train(quick(lesions, TRANSFER, epochs=1, seed=seed, split={"seed": 3}), tmp_path / f"run{seed}")
    runs, _ = load_runs(tmp_path)
    numbered = without_names(runs)
    first, second = (run.predictions for run in numbered)
    before = runs[0].predictions
    assert first is not None
    assert second is not None
    assert before is not None
    assert first.groups == second.groups
    assert set(first.groups) == {f"patient {n + 1}" for n in range(len(set(before.groups)))}
    pairs = set(zip(before.groups, first.groups, strict=True))
    assert len(pairs) == len(set(before.groups))  # one to one
    assert first.images == tuple(f"image {n + 1}" for n in range(len(before.images)))
    assert numbered[0].record == runs[0].record


def test_a_page_without_names_holds_none(s4mi: Command, quick, lesions: Path, tmp_path: Path) -> None:
    from s4mi.recipes.train import train

    train(quick(lesions, TRANSFER, epochs=1), tmp_path / "run")
    done = s4mi("report", tmp_path, "-o", tmp_path / "page.html", "--no-names")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "patient_00" not in page
    assert "lesion_00" not in page


def test_images_of_external_test_sets_are_numbered_too() -> None:
    scored = ImageScores(image="smith.png", group="Smith", iou={}, dice={}, hd95={}, assd={})
    external = {
        "clinic": ImageResults((), predictions_of("ab", "aa", images="xy", groups="PQ")),
        "other": ImageResults((scored,), None),
    }
    (run,) = without_names([ReportRun(record(), (), "", "run", external=external)])
    predictions = run.external["clinic"].predictions
    assert predictions is not None
    assert (predictions.images, predictions.groups) == (("image 1", "image 2"), ("patient 1", "patient 2"))
    (scored,) = run.external["other"].images
    assert (scored.image, scored.group) == ("image 1", "patient 1")
