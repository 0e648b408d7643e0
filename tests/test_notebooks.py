"""The notebooks run from top to bottom, and what they show is true; in git they have no outputs."""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from parsed_page import Page
from s4mi.records import PretrainingRecord, RunRecord, read_any_record, read_epochs, read_record
from s4mi.records.calibration import read_calibration

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = ("few_labels", "few_masks")
CELL_SECONDS = 900
"""A cell may take this long where other tests share the cores."""
WITH_WORKERS = """
try:
    s4mi.run_study(
        {"data": data, "arms": [{"method": {**network, "name": "label_smoothing"}}]}, work / "refused", workers=2
    )
except s4mi.S4miError as error:
    print(error)
"""


def contents(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return read


class Executed:
    """An executed notebook and the folder in which it ran."""

    def __init__(self, name: str, folder: Path, more: str) -> None:
        import nbclient
        import nbformat
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager

        self.folder = folder
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(more))
        specs = KernelSpecManager(kernel_dirs=[])  # none that a user has installed: the kernel is this Python
        kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
        resources = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, km=kernel, timeout=CELL_SECONDS, resources=resources).execute()
        self.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def stream(self, kind: str) -> str:
        """All that was printed to stdout or stderr."""
        outputs = [output for cell in self.cells for output in cell.outputs if output.output_type == "stream"]
        return "".join(output.text for output in outputs if output.name == kind)

    def shown(self, end: str, kind: str = "text/html") -> str:
        """The result of the only cell whose source ends like this."""
        (cell,) = (cell for cell in self.cells if cell.source.endswith(end))
        (result,) = (output for output in cell.outputs if output.output_type == "execute_result")
        return str(result.data[kind])

    def text(self, end: str) -> str:
        """The words of such a result."""
        return Page(self.shown(end)).text


def execute(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> Executed:
    """Run a notebook, and a cell `more` after its last."""
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in `conftest`: test processes share the cores
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))  # nobody's own start-up files
    executed = Executed(name, folder, more)
    lines = [line.strip() for line in re.split(r"[\r\n]+", executed.stream("stderr"))]
    assert [line for line in lines if line and not re.search(r"\d+%", line)] == []  # progress bars without ipywidgets
    return executed


def assert_report_inline(executed: Executed, end: str, page: Path) -> None:
    (frame,) = Page(executed.shown(end)).all("iframe")
    assert frame["srcdoc"].replace('<base href="about:srcdoc">', "") == page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_few_masks_runs_and_shows_what_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = execute("few_masks", tmp_path, monkeypatch)
    work = tmp_path / "few_masks"
    unet, teaching = read_record(work / "unet"), read_record(work / "teaching")
    assert unet.test is not None
    assert teaching.test is not None
    assert unet.labels == teaching.labels
    assert f"140, {unet.labels.train_labelled} of them labelled" in executed.text("\nunet")
    assert f"annotated 140 21 39 {unet.labels.train_labelled}" in executed.text("\nsplit")
    assert len(read_epochs(work / "unet")) == len(read_epochs(work / "teaching")) == unet.epochs == teaching.epochs
    assert f"shape: ({teaching.epochs}, 5)" in executed.shown('"val/dice", "seconds")')
    assert "no errors, no warnings" in executed.text("dataset.check()")
    assert executed.shown(".all())", "text/plain") == "True"
    printed = [float(number) for number in re.findall(r"test Dice, .*: +([\d.]+)", executed.stream("stdout"))]
    assert printed == [round(unet.test.dice, 3), round(teaching.test.dice, 3)]  # type: ignore[union-attr]
    assert f"{teaching.test.dice:.4f}" in executed.text('teaching.evaluate("test")')  # type: ignore[union-attr]
    assert executed.text("teaching.predict(new_images)").endswith("and 28 more images; all are in .table")
    assert "s4mi data import folder" in executed.text("s4mi.check(new_images)")
    assert "6 of 40 images without annotation" in executed.text("\nsuggested")
    assert len(Page(executed.shown('suggested.table["image"]])')).all("img")) == 6
    assert "12 of 12 runs finished" in executed.text("\nstudy")
    assert Page(executed.shown("study.plot()")).all("svg")
    assert_report_inline(executed, 'study.report(title="Few masks")', work / "study/report.html")


@pytest.mark.slow
def test_few_labels_runs_and_shows_what_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = execute("few_labels", tmp_path, monkeypatch, WITH_WORKERS)
    work = tmp_path / "few_labels"
    pretrained = read_any_record(work / "dino")
    scratch, tuned = read_record(work / "scratch"), read_record(work / "tuned")
    assert isinstance(pretrained, PretrainingRecord)
    assert f"{pretrained.images}, no labels used" in executed.text("\npretrained")
    assert (scratch.labels, scratch.split_hash, scratch.epochs) == (tuned.labels, tuned.split_hash, tuned.epochs)
    for name, record in (("scratch", scratch), ("tuned", tuned)):
        assert record.test is not None
        assert len(read_epochs(work / name)) == record.epochs
        (shown,) = (cell for cell in executed.cells if cell.source == name)
        assert f"{record.test.f1_macro:.4f}" in Page(shown.outputs[0].data["text/html"]).text  # type: ignore[union-attr]
    calibration = read_calibration(work / "tuned")
    assert calibration is not None
    assert f"temperature {calibration.temperature:.3f}" in executed.text("tuned.calibrate()")
    probabilities = ast.literal_eval(executed.shown("probabilities, strict=True)}", "text/plain"))
    assert list(probabilities) == list(tuned.classes)
    assert sum(probabilities.values()) == pytest.approx(1, abs=0.002)
    assert "shape: (5, 5)" in executed.shown(".table.head(5)")
    assert "4 images, predicted class" in executed.text("limit=4)")
    assert Page(executed.shown("limit=4)")).all("img")
    assert "14 of 14 runs finished" in executed.text("\nstudy")
    assert "label_smoothing from dino" in executed.text("\nstudy")
    assert Page(executed.shown("study.plot()")).all("svg")
    records = [read_any_record(file.parent) for file in (work / "study").glob("*/*/record.json")]
    own = [record for record in records if isinstance(record, RunRecord) and record.method == "label_smoothing"]
    assert (len(records), len(own)) == (14, 4)
    assert_report_inline(executed, 'study.report(title="Few labels")', work / "study/report.html")
    assert executed.stream("stdout").startswith("method 'label_smoothing' is defined in the notebook")
    assert not (work / "refused").exists()


def test_there_are_two_notebooks() -> None:
    assert sorted(file.stem for file in NOTEBOOKS.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_in_git_they_hold_no_outputs_and_no_paths_of_a_machine(name: str) -> None:
    notebook = contents(name)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    names = [cell["id"] for cell in notebook["cells"]]
    assert all(names)
    assert len(set(names)) == len(names)
    text = json.dumps(notebook)
    assert not re.search(r"/(home|root|tmp|work|Users|mnt|usr)/|[A-Z]:\\\\", text)
    assert os.environ.get("HOME", "/nowhere") + "/" not in text


@pytest.mark.parametrize("name", NAMES)
def test_they_are_valid(name: str) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbformat.validate(nbformat.from_dict(contents(name)))
