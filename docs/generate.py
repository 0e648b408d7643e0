"""Write docs/reference/ from the code: the command line, every setting, the methods, the Python API.

Also the names of all settings, for the package's first look at a run file.

`--check` only compares.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from python_reference import python_page

from s4mi.cli import app
from s4mi.config import (
    METHOD_CONFIGS,
    METHODS,
    Arm,
    DataConfig,
    RunConfig,
    StudyConfig,
    first_look,
    method_table,
    published_table,
    setting_names,
)
from s4mi.config.profiles import PROFILES, profile_text
from s4mi.config.study import StudyDataset
from s4mi.data.spec import DatasetSpec

REFERENCE = Path(__file__).parent / "reference"
SETTINGS = """# Settings of a run

Given in the run file, or on the command line after it as `key=value`. Lists and mappings are written as in YAML:
`loggers.names=[csv,mlflow]`.
"""
HEAD = "<!-- Written by docs/generate.py; change the code, then run `make docs`. -->\n\n"


def command_line() -> str:
    """Every command with its arguments and options."""
    return HEAD + "# Command line\n\n" + "\n".join(_commands(typer.main.get_command(app), "s4mi"))


def _commands(command: Any, name: str) -> Iterator[str]:
    # typer brings a command framework of its own in some versions and uses click in others; both look like this.
    inner: dict[str, Any] | None = getattr(command, "commands", None)
    if inner is not None:
        for sub, below in inner.items():
            yield from _commands(below, f"{name} {sub}")
        return
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## `{name}`\n\n{(command.help or '').strip()}\n\n```\n{name} {usage}\n```\n"
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    rows = [(flag, text) for flag, text in rows if "--help" not in flag]
    if rows:
        yield "| option | meaning |\n|---|---|"
        yield "\n".join(f"| `{_cell(flag)}` | {_cell(text)} |" for flag, text in rows) + "\n"


def settings() -> str:
    """Every setting of a run file."""
    parts = [HEAD + SETTINGS]
    parts.append(_table(RunConfig, "", skip=("method",)))
    for config in METHOD_CONFIGS:
        name = config.model_fields["name"].default
        parts.append(f"\n## `method: {name}`\n\n{config.summary}. {config.paper}.\n\n" + _table(config, "method."))
    parts.append("\n# Settings of a study\n\n" + _table(StudyConfig, "", skip=("data", "split")))
    parts.append("`data` and `split` are as in a run.\n\nEach of `arms`:\n\n" + _table(Arm, "", skip=("settings",)))
    parts.append("An arm also takes any setting of its runs, as in a run file. Each of `pretraining` has `backbones`, ")
    parts[-1] += "`datasets` and any setting; each of `datasets` has the settings of `data` and:\n\n"
    parts[-1] += _table(StudyDataset, "", skip=tuple(DataConfig.model_fields))
    parts.append(
        "\n# Profiles\n\nDefaults of `profile:` in a study file. The file overrides all of them; "
        "[precedence](../explanation/studies.md#precedence-of-settings).\n"
    )
    parts.extend(f"\n## `profile: {name}`\n\n```yaml\n{profile_text(name)}```\n" for name in PROFILES)
    parts.append("\n# `dataset.yaml`\n\n" + _table(DatasetSpec, ""))
    return "\n".join(parts)


def _table(model: type[BaseModel], prefix: str, skip: tuple[str, ...] = ()) -> str:
    return "| key | default | meaning |\n|---|---|---|\n" + "\n".join(_rows(model, prefix, skip)) + "\n"


def _rows(model: type[BaseModel], prefix: str, skip: tuple[str, ...]) -> Iterator[str]:
    views = getattr(model, "default_views", None)
    for name, field in model.model_fields.items():
        if name in skip:
            continue
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            default = views if name == "views" else None
            yield from (_row(f"{prefix}{name}.{key}", value, default, key) for key, value in inner.model_fields.items())
        else:
            yield _row(f"{prefix}{name}", field)


def _row(key: str, field: FieldInfo, defaults: BaseModel | None = None, name: str = "") -> str:
    default: Any = getattr(defaults, name) if defaults is not None else field.default
    if default is PydanticUndefined:
        made = {None: "required", dict: "`{}`"}  # what else is made is the cache's folder
        shown = made.get(field.default_factory, "user cache folder")  # type: ignore[arg-type]
    else:
        shown = f"`{list(default) if isinstance(default, tuple) else default}`"
    choices = [repr(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
    meaning = "; ".join(
        part for part in (field.description or "", "one of " + ", ".join(choices) if choices else "") if part
    )
    return f"| `{key}` | {shown} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def names_of_settings() -> str:
    """The names of the settings of every run, and of each method, as JSON."""
    of_runs = [name for name in setting_names(RunConfig) if not name.startswith("method.")]
    of_methods = {config.model_fields["name"].default: setting_names(config) for config in METHOD_CONFIGS}
    return json.dumps({"": of_runs, first_look.STUDY: setting_names(StudyConfig), **of_methods}, indent=1) + "\n"


def main() -> None:
    """Write the pages, or with `--check` fail if one is out of date."""
    pages = {
        REFERENCE / "command-line.md": command_line(),
        REFERENCE / "settings.md": settings(),
        REFERENCE / "python.md": HEAD + python_page(),
        Path(first_look.__file__).parent / first_look.NAMES: names_of_settings(),
        Path(first_look.__file__).parent / method_table.TABLE: method_table.as_json(METHODS.rows()),
        Path(first_look.__file__).parent / published_table.TABLE: published_table.as_json(),
    }
    stale = [path.name for path, text in pages.items() if _read(path) != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"out of date: {', '.join(stale)}; run: make docs")
        return
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
