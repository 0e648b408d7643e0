"""The public Python API, which the command line uses too. Each function imports what it needs only when it runs."""

from s4mi.api.checks import CheckOutput, check
from s4mi.api.datasets import Dataset, draw
from s4mi.api.embeddings import EmbedOutput, embed
from s4mi.api.erasures import erase
from s4mi.api.exports import ExportOutput, export
from s4mi.api.guard import guard_methods
from s4mi.api.models import Model, load
from s4mi.api.prediction_files import PredictOutput, predict
from s4mi.api.predictions import Prediction, PredictionList, overlay
from s4mi.api.reports import Report, report
from s4mi.api.runs import Run
from s4mi.api.saliency import ExplainOutput, explain
from s4mi.api.scores import CalibrationOutput, Evaluation, calibrate, evaluate
from s4mi.api.show import Figure
from s4mi.api.splits import SplitOutput, split
from s4mi.api.studies import Study, run_study
from s4mi.api.suggestions import SuggestOutput, suggest
from s4mi.api.training import train
from s4mi.api.viewing import View, view

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
    "SplitOutput",
    "Study",
    "SuggestOutput",
    "View",
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
    "report",
    "run_study",
    "split",
    "suggest",
    "train",
    "view",
]

for _name in __all__:
    if isinstance(_member := globals()[_name], type):
        guard_methods(_member)
