"""Options that several commands share: each is declared once, and a command names those that it offers.

    @offers(ImportSettings, "rename", "drop_class", name="isic2017")
    def isic2017(source: Source, out: Out, *, shared: ImportSettings) -> None: ...

The settings class has a field for each option, annotated as typer wants it; a setting that a command does not offer
keeps the field's default.
"""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints

PARAMETER = "shared"
"""Name of the parameter through which a command receives its shared options."""


def offers(settings: type[Any], *names: str, **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command offer the shared options `names`, and those of `defaults` with another default."""
    hints = get_type_hints(settings, include_extras=True)
    default_of = {one.name: one.default for one in fields(settings)} | defaults
    offered = [one.name for one in fields(settings) if one.name in names or one.name in defaults]
    if missing := {*names, *defaults} - {*hints}:
        raise ValueError(f"{settings.__name__} has no option {', '.join(sorted(missing))}")

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command)
        kept = [parameter for parameter in own.parameters.values() if parameter.name != PARAMETER]

        @wraps(command)
        def run(**values: Any) -> None:
            command(**{PARAMETER: settings(**{name: values.pop(name) for name in offered})}, **values)

        keyword = inspect.Parameter.KEYWORD_ONLY
        shared = [
            inspect.Parameter(name, keyword, default=default_of[name], annotation=hints[name]) for name in offered
        ]
        run.__signature__ = own.replace(parameters=[*kept, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*kept, *shared)}
        del run.__wrapped__
        return run

    return decorate
