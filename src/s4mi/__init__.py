"""Machine supervision for medical imaging: many images, few labels.

    import s4mi

    run = s4mi.train("run.yaml", "runs/one", settings={"data.path": "datasets/mine"})
    run.plot()                                   # the learning curve
    predictions = run.predict("images/")         # classes or masks, in memory
    predictions[0].overlay()                     # an image with its mask
    s4mi.report("runs")                          # a page on all runs, shown inline
    s4mi.view("datasets/mine", run)              # look at images and masks, correct them, merge

Names are imported when they are first used: `import s4mi` alone loads neither torch nor pydantic.
"""

from importlib import import_module
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
        View,
        calibrate,
        check,
        draw,
        embed,
        erase,
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
        view,
    )
    from s4mi.config.methods import register
    from s4mi.errors import S4miError

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
    "View",
    "__version__",
    "calibrate",
    "check",
    "draw",
    "embed",
    "erase",
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
    "view",
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
