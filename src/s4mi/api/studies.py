"""A study in Python: run it, look at its table, take its best run."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.api.inputs import Settings, StrPath, as_mapping, as_overrides, as_path, shown_path
from s4mi.api.progress import StudyCallback, study_progress
from s4mi.api.quiet import quiet
from s4mi.api.reports import Report, make_report
from s4mi.api.runs import Run
from s4mi.api.show import Figure, heading, note, table
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import polars

    from s4mi.api.models import Model
    from s4mi.config import StudyConfig
    from s4mi.records import TaskKind
    from s4mi.reporting.results.runs import ReportRun

TABLE = (
    "method", "backbone", "label_fraction", "n", "mean", "low", "high", "best", "labelled_fewest", "labelled_most",
    "metric", "task", "dataset", "few",
)  # fmt: skip
log = logging.getLogger("s4mi")


@system_errors()
def run_study(
    study: "StrPath | Mapping[str, object] | StudyConfig",
    out: StrPath,
    *,
    settings: Settings | None = None,
    workers: int = 0,
    ray: str | None = None,
    progress: bool | StudyCallback = True,
    report: bool = True,
) -> "Study":
    """Run everything in a study that is not finished yet: every technique, label fraction and seed.

    A run that fails is retried once and stops no other; `Study.failures` lists what is missing. After an interruption
    the same call continues. Meanwhile `out/report.html` shows what is finished and what is left.

    Args:
        study: settings: the path of a YAML file, a mapping (keys may be dotted), or a `StudyConfig`.
        out: folder of the study; runs in it are kept.
        settings: settings that replace those of `study`: `{"seeds": [0, 1], "data.path": "datasets/mine"}`.
        workers: processes that train one run each at a time and share cores and GPUs; 0 trains in this process. They
            are spawned, so a script needs `if __name__ == "__main__":` (a notebook does not).
        ray: address of a Ray cluster that trains the runs: auto, local, HOST:PORT or ray://HOST:PORT.
        progress: True shows a bar (terminal, notebook) or prints a line per run; False is silent; a function is called
            with every event.
        report: write `report.html` into `out` after finished runs, on interruption and, with test images, at the end.

    Raises:
        S4miError: invalid settings or data, another process runs a study in `out`, the disk is full, or no such
            cluster.
    """
    with quiet():
        from s4mi.studies.live_report import reported
        from s4mi.studies.run import run_study as recipe

        config, out = _config(study, settings), as_path(out)
        title = as_path(study).stem if isinstance(study, (str, os.PathLike)) else out.absolute().name
        with study_progress(progress) as tell:
            if report:
                outcomes = reported(partial(recipe, config, out, workers=workers, ray=ray), out, title=title, tell=tell)
            else:
                outcomes = recipe(config, out, workers=workers, ray=ray, on_event=tell)
    missing = sum(outcome.record is None for outcome in outcomes)
    if missing:
        log.warning("%d of %d runs have no result; see Study.failures", missing, len(outcomes))
    return Study(out)


def _config(study: "StrPath | Mapping[str, object] | StudyConfig", settings: Settings | None) -> "StudyConfig":
    from s4mi.config import StudyConfig, load_study, make_study, override_study

    overrides = as_overrides(settings)
    if isinstance(study, StudyConfig):
        if not overrides:
            return study
        contents = study.model_dump(mode="json", exclude_unset=True)
        return make_study(override_study(contents, overrides), origin="settings")
    if isinstance(study, Mapping):
        return make_study(override_study(as_mapping(study), overrides), origin="settings")
    return load_study(as_path(study), overrides)


class Study(os.PathLike[str]):
    """The folder of a study, or any folder with runs in it.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: StrPath) -> None:
        """Open a study.

        Raises:
            S4miError: no such folder, or it holds no run.
        """
        from s4mi.records import STUDY_NAME
        from s4mi.reporting.results.runs import run_folders

        self.path: Path = as_path(path).absolute()  # stays the same folder after os.chdir
        if not (self.path / STUDY_NAME).exists() and next(run_folders(self.path), None) is None:
            raise S4miError(f"{self.path}: holds no run; make one with: s4mi study run STUDY.yaml -o {self.path}")

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The finished runs, pre-training among them, sorted by folder."""
        return tuple(Run(self.path / name) for name in self._names if (self.path / name / "record.json").exists())

    @property
    def table(self) -> "polars.DataFrame":
        """One row per technique and label fraction: the mean over seeds of the main test score, with its 95 % interval.

        Columns: `method`, `backbone`, `label_fraction` (percent), `n` (seeds), `mean`, `low`, `high`, `best` (1 marks
        the best mean of a label fraction), `labelled_fewest` and `labelled_most` (images), `metric`, `task`, `dataset`,
        and `few` (why the interval is widened, if it is). Intervals are those of the report.
        """
        import polars

        from s4mi.reporting.results.comparison import compare
        from s4mi.reporting.results.scores import metrics_of
        from s4mi.reporting.writers.csv import summary_csv

        names = ("dataset", "task", "metric", "class", "method", "backbone", "few")
        types = {
            **dict.fromkeys(names, polars.String),
            **dict.fromkeys(("label_fraction", "mean", "low", "high"), polars.Float64),
        }
        tested = self._tested()
        records = [run.record for run in tested]
        text = summary_csv(records, tested).encode()
        frame = polars.read_csv(text, infer_schema_length=None, schema_overrides=types)
        leading = [(one.dataset, one.task, metrics_of(one.task)[0].name) for one in compare(records)]
        wanted = polars.DataFrame(
            leading, schema=dict.fromkeys(("dataset", "task", "metric"), polars.String), orient="row"
        )
        table = frame.filter(polars.col("class").is_null()).join(wanted, on=wanted.columns, how="semi")
        return table.select(TABLE)

    @property
    def scores(self) -> "polars.DataFrame":
        """One row per finished run, part, score and class, with seed, cost, device and hashes."""
        import polars

        from s4mi.reporting.writers.csv import RUN_NAMES, runs_csv

        text, names = runs_csv(self._tested()), dict.fromkeys(RUN_NAMES, polars.String)
        return polars.read_csv(text.encode(), infer_schema_length=None, schema_overrides=names)

    @property
    def failures(self) -> "polars.DataFrame":
        """One row per run without a result: `run`, `status`, finished `epochs`, and the `reason` if there is one."""
        import polars

        from s4mi.reporting.results.unfinished_runs import load_unfinished

        known = {
            run.directory: (run.directory, run.status, run.epochs, run.reason) for run in load_unfinished(self.path)
        }
        finished = {str(run.path.relative_to(self.path)) for run in self.runs}
        rows = [known.get(name, (name, "not run", 0, "")) for name in self._names if name not in finished]
        schema = {"run": polars.String, "status": polars.String, "epochs": polars.Int64, "reason": polars.String}
        return polars.DataFrame(rows, schema=schema, orient="row")

    def best(self, *, task: "TaskKind | None" = None) -> Run:
        """The best run by validation: of the technique with the best mean over seeds, its best seed.

        Args:
            task: where the study has several, only runs of this task.

        Raises:
            S4miError: no run is finished, or the runs are of several data sets or tasks.
        """
        from s4mi.inference.load import select_runs

        return Run(select_runs(self.path, task=task).runs[0])

    def load(self, *, task: "TaskKind | None" = None, ensemble: bool = False) -> "Model":
        """The model of the best run, or the ensemble of all seeds of the best technique; see `s4mi.load`."""
        from s4mi.api.models import load

        return load(self.path, task=task, ensemble=ensemble)

    def plot(self, *, dataset: str | None = None, task: "TaskKind | None" = None) -> Figure:
        """Test score by number of labelled images: mean, interval and each seed of every technique.

        Args:
            dataset: name of the data set, where the study has several.
            task: the task, where the study has several.

        Raises:
            S4miError: no run is finished, or several data sets or tasks fit.
        """
        from s4mi.reporting.figures.score_by_labels import missing, score_by_labels
        from s4mi.reporting.results.comparison import compare
        from s4mi.reporting.results.scores import metric_of
        from s4mi.reporting.results.tables import result_table

        tested = self._tested()
        comparisons = compare([run.record for run in tested])
        found = [one for one in comparisons if dataset in (None, one.dataset) and task in (None, one.task)]
        if len(found) != 1:
            listed = ", ".join(f"{one.dataset} ({one.task})" for one in comparisons) or "none"
            problem = "several comparisons fit" if found else "no such comparison"
            raise S4miError(f"{self.path}: {problem}; pass dataset= and task= of one of: {listed}")
        table = result_table(found[0], metric_of(found[0].task), tested)
        svg = score_by_labels(found[0], table)
        if svg is None:
            raise S4miError(f"{self.path}: {missing(table)}")
        return Figure(svg)

    def report(self, out: StrPath | None = None, *, title: str | None = None, sheets: bool = True) -> Report:
        """Write the report on the runs of this study, which notebooks show inline; see `s4mi.report`."""
        from s4mi.records import STUDY_NAME

        only = frozenset(self._names) if (self.path / STUDY_NAME).exists() else None
        page = self.path / "report.html" if out is None else as_path(out)
        return make_report(self.path, page, title=title, sheets=sheets, only=only)

    @property
    def _names(self) -> list[str]:
        """The runs that the study plans or, of any other folder, those that are there; folders below its own."""
        from s4mi.reporting.results.runs import planned_runs

        return planned_runs(self.path)

    def _tested(self) -> "list[ReportRun]":
        """The runs with what was measured per test image, as a report reads them."""
        from s4mi.reporting.results.runs import load_runs

        runs, _ = load_runs(self.path)
        names = self._names
        return [run for run in runs if run.directory in names]

    def __repr__(self) -> str:
        return f"Study({shown_path(self.path)!r}): {len(self.runs)} of {plural(len(self._names), 'run')} finished"

    def _repr_html_(self) -> str:
        from s4mi.reporting.results.tables import result_tables, score_table

        shown = heading(f"{self.path.resolve().name}: {len(self.runs)} of {plural(len(self._names), 'run')} finished")
        tested = self._tested()
        for one in result_tables([run.record for run in tested], tested):
            scores = score_table(one)
            rows = [[("▸ " if cell.emphasis else "") + cell.plain for cell in row.cells] for row in scores.rows]
            shown += table(
                [column.plain for column in scores.columns], rows, caption=f"{scores.subject}: {scores.title}"
            )
        missing = len(self._names) - len(self.runs)
        return shown + note(f"{plural(missing, 'run')} without a result; see .failures" if missing else "")
