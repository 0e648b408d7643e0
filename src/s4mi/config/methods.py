"""The registry of methods: those of this package by name, those registered by a call, those of installed packages.

    s4mi.register(MyConfig)                                   in a script or notebook
    [project.entry-points."s4mi.methods"]                     in the pyproject.toml of a package
    my_method = "my_package.my_method:MyConfig"

Nothing is registered as a side effect of importing a module of ours. A method from elsewhere works in run files,
studies, reports and on the command line as ours do.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from s4mi.config.method_table import GROUP, OWN, MethodRow
from s4mi.contract import MethodConfig
from s4mi.errors import S4miError, nearest
from s4mi.settings.classification.classical import ClassicalConfig
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.settings.classification.finetune_pseudo_labels import FinetunePseudoLabelsConfig
from s4mi.settings.classification.frozen import FrozenConfig
from s4mi.settings.classification.pseudo_labels import PseudoLabelsConfig
from s4mi.settings.pretraining.cass import CassConfig
from s4mi.settings.pretraining.diet import DietConfig
from s4mi.settings.pretraining.dino import DinoConfig
from s4mi.settings.pretraining.simclr import SimclrConfig
from s4mi.settings.pretraining.simmim import SimmimConfig
from s4mi.settings.segmentation.adversarial import AdversarialConfig
from s4mi.settings.segmentation.classical_segmenter import ClassicalSegmenterConfig
from s4mi.settings.segmentation.co_training import CoTrainingConfig
from s4mi.settings.segmentation.colour_clusters import ColourClustersConfig
from s4mi.settings.segmentation.cross_pseudo_supervision import CrossPseudoSupervisionConfig
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig
from s4mi.settings.segmentation.frozen_segmenter import FrozenSegmenterConfig
from s4mi.settings.segmentation.frozen_teacher import FrozenTeacherConfig
from s4mi.settings.segmentation.mean_teacher import MeanTeacherConfig
from s4mi.settings.segmentation.picie import MdcConfig, PicieConfig
from s4mi.settings.segmentation.self_training import SelfTrainingConfig
from s4mi.settings.segmentation.supervised import SupervisedConfig
from s4mi.settings.segmentation.token_clusters import TokenClustersConfig
from s4mi.settings.segmentation.weak_to_strong import WeakToStrongConfig

METHOD_CONFIGS: tuple[type[MethodConfig], ...] = (
    FinetuneConfig,
    FinetunePseudoLabelsConfig,
    ClassicalConfig,
    FrozenConfig,
    PseudoLabelsConfig,
    DinoConfig,
    CassConfig,
    SimclrConfig,
    SimmimConfig,
    DietConfig,
    SupervisedConfig,
    ClassicalSegmenterConfig,
    CrossTeachingConfig,
    CrossPseudoSupervisionConfig,
    CoTrainingConfig,
    MeanTeacherConfig,
    AdversarialConfig,
    SelfTrainingConfig,
    WeakToStrongConfig,
    FrozenTeacherConfig,
    FrozenSegmenterConfig,
    PicieConfig,
    MdcConfig,
    ColourClustersConfig,
    TokenClustersConfig,
)
"""The methods of this package; a new one is one file and one line here."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
ConfigClass = TypeVar("ConfigClass", bound=type[MethodConfig])


@dataclass(frozen=True)
class RegisteredMethod:
    """A method and where it comes from.

    Attributes:
        origin: `s4mi`, the distribution that provides it with its version, or the module that registered it.
    """

    config: type[MethodConfig]
    origin: str


class MethodRegistry(Mapping[str, type[MethodConfig]]):
    """Settings classes of all methods by name. Entry points are imported when they are first asked for."""

    def __init__(self, own: tuple[type[MethodConfig], ...] = METHOD_CONFIGS) -> None:
        self._known = {method_name(config): RegisteredMethod(config, OWN) for config in own}
        self._entry_points: dict[str, EntryPoint] | None = None
        self._broken: dict[str, str] = {}

    def register(self, config: type[MethodConfig]) -> None:
        """See `register`."""
        name = check_method(config)
        known = self._known.get(name)
        if known is not None and not _redefined(known.config, config):
            raise S4miError(f"method {name!r} of {config.__module__}: the name is taken by {known.origin}; rename it")
        self._known[name] = RegisteredMethod(config, known.origin if known else config.__module__)

    def __getitem__(self, name: str) -> type[MethodConfig]:
        return self.find(name).config

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._installed()

    def __iter__(self) -> Iterator[str]:
        yield from self._known
        yield from [name for name in self._installed() if name not in self._known]

    def __len__(self) -> int:
        return len(self._known.keys() | self._installed().keys())

    def find(self, name: str) -> RegisteredMethod:
        """The method of this name.

        Raises:
            KeyError: there is none.
            S4miError: an installed package provides it and cannot be imported.
        """
        if name not in self._known and name in self._installed():
            self._known[name] = self._load(self._installed()[name])
        return self._known[name]

    def working(self) -> dict[str, RegisteredMethod]:
        """All methods that can be used, by name; `broken` says why others cannot."""
        found = {}
        for name in self:
            try:
                found[name] = self.find(name)
            except S4miError as error:
                self._broken[name] = str(error)
        return found

    @property
    def broken(self) -> dict[str, str]:
        """Methods of installed packages that cannot be used, by name, with the reason."""
        self.working()
        return dict(self._broken)

    def rows(self) -> list[MethodRow]:
        """What `s4mi methods` lists: all methods that can be used."""
        return [
            MethodRow(name, tuple(sorted(one.config.tasks)), one.config.summary, one.config.paper, one.origin)
            for name, one in self.working().items()
        ]

    def _installed(self) -> dict[str, EntryPoint]:
        if self._entry_points is None:
            self._entry_points = {point.name: point for point in entry_points(group=GROUP)}
        return self._entry_points

    def _load(self, point: EntryPoint) -> RegisteredMethod:
        package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.module
        place = f"method {point.name!r} of {package} ({point.value})"
        try:
            config = point.load()
        except Exception as error:  # another package may fail in any way
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise S4miError(f"{place}: cannot be imported: {reason}; update or uninstall the package") from error
        try:
            name = check_method(config)
        except S4miError as error:
            raise S4miError(f"{place}: {error}") from error
        if name != point.name:
            raise S4miError(f"{place}: its settings call it {name!r}; use that name for the entry point")
        return RegisteredMethod(config, package)


def method_name(config: type[MethodConfig]) -> str:
    """The name under which run files ask for a method."""
    return str(config.model_fields["name"].default)


def check_method(config: object) -> str:
    """The name of a method whose settings class is complete.

    Raises:
        S4miError: it is not; the line names what is missing.
    """
    if not (isinstance(config, type) and issubclass(config, MethodConfig)):
        raise S4miError(f"{config!r} is not a method: derive a settings class from s4mi.contract.MethodConfig")
    place = f"{config.__module__}.{config.__qualname__}"
    field = config.model_fields.get("name")
    names = get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()
    if field is None or len(names) != 1 or field.default != names[0]:
        raise S4miError(f'{place}: name is missing; add: name: Literal["my_method"] = "my_method"')
    name = str(names[0])
    if not _NAME.fullmatch(name):
        raise S4miError(f"{place}: name {name!r} must be lower-case letters, digits and underscores")
    missing = [each for each in ("summary", "paper", "tasks", "default_views") if not hasattr(config, each)]
    missing += sorted(getattr(config, "__abstractmethods__", ())) if inspect.isabstract(config) else []
    if missing:
        raise S4miError(f"{place}: {', '.join(missing)} missing; see s4mi.contract.MethodConfig")
    return name


METHODS = MethodRegistry()
"""The registry that this process uses."""


def register(config: ConfigClass) -> ConfigClass:
    """Make a method of your own known by the `name` of its settings; usable as a class decorator.

    Run files, studies, reports and predictions then treat it like a method of s4mi. Registering a class again, as when
    a notebook cell is run twice, replaces the earlier definition. For a method in a package, use the entry-point group
    `s4mi.methods` instead: it is then known to every command.

    Args:
        config: a concrete subclass of `s4mi.contract.MethodConfig` with `name: Literal["…"] = "…"`, `summary`, `paper`,
            `tasks`, `default_views`, `backbone_name` and `build`.

    Raises:
        S4miError: something of this is missing, or another method has the name.
    """
    METHODS.register(config)
    return config


def parse_method(given: Any) -> MethodConfig:
    """Settings of a method, of the class that its name stands for; a pydantic validator.

    Raises:
        ValidationError: with the method's name as first part of each location, as pydantic's tagged unions have it.
        PydanticCustomError: no name, or one that no method has.
    """
    if isinstance(given, MethodConfig):
        return given
    if not isinstance(given, Mapping):
        raise PydanticCustomError("dict_type", "Input should be a valid dictionary")
    if not given.get("name"):
        raise PydanticCustomError("union_tag_not_found", "name is missing")
    name = str(given["name"])
    if name not in METHODS:
        raise PydanticCustomError("union_tag_invalid", "unknown method {tag}", {"tag": name})
    try:
        config = METHODS[name]
    except S4miError as error:
        raise ValueError(str(error)) from error
    try:
        return config.model_validate(dict(given))
    except ValidationError as error:
        details = [_below(name, one) for one in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(error.title, details) from error


def unknown_method(name: str) -> str:
    """What to say of a name that no method has."""
    return f"method {name!r} is unknown{nearest(name, list(METHODS))}; see: s4mi methods"


def _below(name: str, problem: Any) -> InitErrorDetails:
    context = problem.get("ctx", {})
    kind = problem["type"]
    if kind in ("value_error", "assertion_error"):
        kind = PydanticCustomError(kind, "{message}", {"message": problem["msg"]})
        context = {}
    return InitErrorDetails(type=kind, loc=(name, *problem["loc"]), input=problem["input"], ctx=context)


def _redefined(known: type[MethodConfig], config: type[MethodConfig]) -> bool:
    """Whether this is the same class, defined anew."""
    return (known.__module__, known.__qualname__) == (config.__module__, config.__qualname__)
