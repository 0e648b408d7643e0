"""Train one run from Python."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from s4mi.api.inputs import Settings, StrPath, as_mapping, as_overrides, as_path
from s4mi.api.progress import TrainingCallback, training_progress
from s4mi.api.quiet import quiet
from s4mi.api.runs import Run
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from s4mi.config import RunConfig


@system_errors()
def train(
    run: "StrPath | Mapping[str, object] | RunConfig",
    out: StrPath,
    *,
    settings: Settings | None = None,
    resume: bool = False,
    progress: bool | TrainingCallback = True,
) -> Run:
    """Train one run: select the best epoch on validation, score it once on test, and write a record.

    A pre-training method (see `s4mi methods`) uses no labels and leaves encoders for fine-tuning instead.

    Args:
        run: settings: the path of a YAML file, a mapping (keys may be dotted), or a `RunConfig`.
        out: folder of the run.
        settings: settings that replace those of `run`: `{"optim.lr": 1e-3, "epochs": 10}` or `["optim.lr=1e-3"]`.
        resume: continue an interrupted run after its last finished epoch; a finished run is returned as it is.
        progress: True shows a bar (terminal, notebook) or prints a line per epoch; False is silent; a function is
            called with a `Progress` after every optimiser step.

    Raises:
        S4miError: invalid settings or data, a folder that is in use, no run or other data to resume with, a loss that
            is not finite, or collapsed features.
    """
    with training_call(run, settings=settings, progress=progress) as (config, watch):
        from s4mi.recipes.train import train as recipe
        from s4mi.training.run_dir import check_begun

        if resume:
            check_begun(as_path(out))
        recipe(config, as_path(out), resume=resume, watch=watch)
    return Run(out)


@contextmanager
def training_call(
    run: "StrPath | Mapping[str, object] | RunConfig",
    *,
    settings: Settings | None = None,
    progress: bool | TrainingCallback = True,
) -> "Iterator[tuple[RunConfig, TrainingCallback]]":
    """The settings and the progress callback of a run, for `train` and the command `s4mi train`.

    A context manager, so that a traceback from a method's loss leads from either of the two straight to the recipe.
    """
    with quiet():
        config = _config(run, settings)
        with training_progress(progress) as watch:
            yield config, watch


def _config(run: "StrPath | Mapping[str, object] | RunConfig", settings: Settings | None) -> "RunConfig":
    from s4mi.config import RunConfig, apply_overrides, load_run_config, make_run_config

    overrides = as_overrides(settings)
    if isinstance(run, RunConfig):
        if not overrides:
            return run
        return make_run_config(apply_overrides(run.model_dump(mode="json"), overrides), origin="settings")
    if isinstance(run, Mapping):
        return make_run_config(apply_overrides(as_mapping(run), overrides), origin="settings")
    return load_run_config(as_path(run), overrides)
