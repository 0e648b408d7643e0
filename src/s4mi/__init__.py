"""Machine supervision for medical imaging: many images, few labels.

    import s4mi

    run = s4mi.train("run.yaml", "runs/one", settings={"data.path": "datasets/mine"})
    run.plot()                                   # the learning curve
    predictions = run.predict("images/")         # classes or masks, in memory
    predictions[0].overlay()                     # an image with its mask
    s4mi.report("runs")                          # a page on all runs, shown inline

Names are imported when they are first used: `import s4mi` alone loads neither torch nor pydantic.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s4mi.api import (
        CalibrationOutput,
        CheckOutput,
        Dataset,
        EmbedOutput,
        Evaluation,
        ExplainOutput,
        ExportOutput,
        Figure,
        Model,
        Prediction,
        PredictionList,
        PredictOutput,
        Report,
        Run,
        SplitOutput,
        Study,
        SuggestOutput,
        calibrate,
        check,
        draw,
        embed,
        evaluate,
        explain,
        export,
        load,
        overlay,
        predict,
        report,
        run_study,
        split,
        suggest,
        train,
    )
    from s4mi.errors import S4miError
else:
    import s4mi.report  # so that it is this package's attribute now, and is not put there later

__version__ = "0.1.0"

__all__ = [
    "CalibrationOutput",
    "CheckOutput",
    "Dataset",
    "EmbedOutput",
    "Evaluation",
    "ExplainOutput",
    "ExportOutput",
    "Figure",
    "Model",
    "PredictOutput",
    "Prediction",
    "PredictionList",
    "Report",
    "Run",
    "S4miError",
    "SplitOutput",
    "Study",
    "SuggestOutput",
    "__version__",
    "calibrate",
    "check",
    "draw",
    "embed",
    "evaluate",
    "explain",
    "export",
    "load",
    "overlay",
    "predict",
    "register",
    "report",
    "run_study",
    "split",
    "suggest",
    "train",
]

_ELSEWHERE = {"S4miError": "s4mi.errors", "register": "s4mi.config.methods"}
"""Modules of the names that are not in `s4mi.api`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ELSEWHERE.get(name, "s4mi.api")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _CallablePackage(ModuleType):
    """The package `s4mi.report`, which is also the function of that name: importing it makes it `s4mi.report`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return import_module("s4mi.api").report(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if name != "__signature__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        from inspect import signature

        return signature(import_module("s4mi.api").report)


if not TYPE_CHECKING:
    s4mi.report.__class__ = _CallablePackage
