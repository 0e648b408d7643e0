"""The protocol of Label Studio's machine learning backends: a Label Studio gets its pre-annotations from a run.

    GET  /label-studio/health, versions      POST /label-studio/setup, predict, webhook

The first run predicts; `/label-studio/r1/` is the address of the second, and so on. Label Studio sends the token as
the password of basic authentication. What it tells of itself, such as its own token, is neither used nor kept.
"""

import logging
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from s4mi.data.annotations.label_studio import image_names, results_of
from s4mi.data.annotations.match_rows import RowFinder, UnknownImageError
from s4mi.data.annotations.types import PreAnnotation
from s4mi.data.spec import NO_CLASS
from s4mi.viewer.prediction_store import ImagePrediction
from s4mi.viewer.requests import RequestError
from s4mi.viewer.runs import ViewRun
from s4mi.viewer.workspace import Workspace

log = logging.getLogger("s4mi.viewer")

MOST_TASKS = 1000
KINDS = {"choices": "class", "polygonlabels": "polygon", "brushlabels": "brush"}
"""Controls of an interface that predictions are for, and their names in results."""


@dataclass(frozen=True)
class Control:
    """A control of a labelling interface: its name, that of the image, and the values to choose from."""

    name: str
    image: str
    values: frozenset[str]


@dataclass(frozen=True)
class Interface:
    """Controls of a labelling interface by their name in the results of `results_of`."""

    controls: Mapping[str, Control] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Interface":
        """Read the XML of a labelling interface.

        Raises:
            RequestError: it is no XML, or has no control for choices, polygons or brush strokes on an image.
        """
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise RequestError(
                422, f"label_config: not valid XML ({error}); save the labelling interface again"
            ) from error
        images = [element.get("name", "") for element in root.iter() if element.tag.lower() == "image"]
        controls: dict[str, Control] = {}
        for element in root.iter():
            kind = KINDS.get(element.tag.lower())
            if kind is not None and kind not in controls and element.get("toName") in images:
                values = frozenset(
                    str(child.get("alias") or child.get("value")) for child in element.iter() if child is not element
                )
                controls[kind] = Control(element.get("name", ""), element.get("toName", ""), values)
        if not controls:
            raise RequestError(
                422, "label_config: no Choices, PolygonLabels or BrushLabels on an Image; add one to the interface"
            )
        return cls(controls)

    def fit(self, results: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the results that the interface can show, with the names of its controls."""
        for one in results:
            control = self.controls.get(str(one["from_name"]))
            value: list[str] = next((names for key, names in one["value"].items() if key == one["type"]), [])
            if control is not None and set(value) <= control.values:
                yield {**one, "from_name": control.name, "to_name": control.image}


def health(space: Workspace, request: Request) -> dict[str, Any]:
    """Whether there is a run that predicts."""
    return {"status": "UP", "model_class": "s4mi", "model_version": version_of(_run(space, request))}


def versions(space: Workspace, request: Request) -> dict[str, Any]:
    """The versions of the model, of which there is one."""
    return {"versions": [version_of(_run(space, request))]}


def setup(space: Workspace, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Check that the run's predictions can be shown in the interface of a project."""
    run = _run(space, request)
    interface = str(body.get("schema") or "")
    if interface:
        Interface.parse(interface)
    return {"model_version": version_of(run)}


def webhook(_: Workspace, __: Request, ___: Mapping[str, Any]) -> dict[str, Any]:
    """Take note of an event; a run learns from merged annotations alone, when it is trained again."""
    return {"status": "ignored"}


def predict(space: Workspace, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Predict the images of tasks; a task whose image is unknown or unreadable gets no result."""
    run, tasks = _run(space, request), body.get("tasks")
    if not isinstance(tasks, list) or len(tasks) > MOST_TASKS or not all(isinstance(one, dict) for one in tasks):
        raise RequestError(400, f'tasks: not a list of at most {MOST_TASKS} tasks; send {{"tasks": [...]}}')
    interface = Interface.parse(str(body.get("label_config") or ""))
    finder = _finder(space, request)
    predicting, version = request.app.state.predicting, version_of(run)
    results = []
    for task in tasks:
        data = task.get("data")
        names = image_names(data) if isinstance(data, dict) else ("",)
        one: ImagePrediction | None = None
        try:
            n = finder.find(names)
            one = run.stored(space.row(n)) or predicting.predict(run, n)
            size = (0, 0) if one is None else space.size(n)  # of an unreadable image there is none
        except UnknownImageError as error:
            log.warning("Label Studio: task %s: %s", str(task.get("id"))[:20], error)
        result = [] if one is None else list(interface.fit(_results(one, size, interface)))
        results.append({
            "result": result, "score": 0.0 if one is None else round(1 - one.doubt, 4), "model_version": version
        })  # fmt: skip
    return {"results": results, "model_version": version}


def version_of(run: ViewRun) -> str:
    """Version of the model as Label Studio shows it: another training of the same run has another one."""
    return f"{run.source.name} {run.identity[:8]}"


def _results(one: ImagePrediction, size: tuple[int, int], interface: Interface) -> list[dict[str, Any]]:
    names = tuple(one.probabilities)
    labels = None if one.mask is not None else one.labels
    if labels == () and NO_CLASS not in interface.controls.get("class", Control("", "", frozenset())).values:
        labels = None
    proposal = PreAnnotation("", "", size, names, 1 - one.doubt, labels=labels, mask=one.mask)
    return results_of(proposal, rle="polygon" not in interface.controls)


def _run(space: Workspace, request: Request) -> ViewRun:
    """The run of the address, or the first.

    Raises:
        RequestError: there is none.
    """
    key = str(request.path_params.get("run", next(iter(space.runs), "")))
    if not key:
        raise RequestError(404, "no run predicts; start s4mi view with --run RUN")
    return space.run(key)


def _finder(space: Workspace, request: Request) -> RowFinder:
    """Finds the images of tasks; made once per version of the data set."""
    known = request.app.state.finders
    if known.get("manifest") is not space.manifest:
        known["finder"], known["manifest"] = RowFinder(space.manifest), space.manifest
    finder: RowFinder = known["finder"]
    return finder
