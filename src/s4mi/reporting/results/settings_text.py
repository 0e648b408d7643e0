"""The settings of each run as text, in full once for each technique: a report on a thousand runs stays small."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.reporting.results.comparison import technique_of
from s4mi.reporting.results.runs import ReportRun

MOST = 40
"""With more settings of its own, all settings of a run are shown."""
NOT_SET = "not set"
_KEY = re.compile(r"([^:]+):(?= |$)")


@dataclass(frozen=True)
class SettingsText:
    """Settings of a run: all of them, or those that are not those of another run.

    Attributes:
        like: folder of the run that has the other settings; empty where the text has all.
    """

    text: str
    like: str = ""


def settings_texts(runs: Sequence[ReportRun]) -> dict[str, SettingsText]:
    """The settings of each run by its folder: of the first run of each technique all, of others what differs from it.

    Runs without readable settings are left out.
    """
    first: dict[tuple[str, ...], tuple[ReportRun, dict[str, str]]] = {}
    found: dict[str, SettingsText] = {}
    for run in runs:
        if not run.config_text:
            continue
        own, record = leaves_of(run.config_text), run.record
        key = (record.dataset, record.task, technique_of(record).label)
        base, theirs = first.setdefault(key, (run, own))
        differing = [name for name in {**theirs, **own} if own.get(name) != theirs.get(name)]
        if base is run or not own or len(differing) > MOST:
            found[run.directory] = SettingsText(run.config_text)
        else:
            text = "".join(f"{name}: {own.get(name, NOT_SET)}\n" for name in differing)
            found[run.directory] = SettingsText(text, like=base.directory)
    return found


def leaves_of(text: str) -> dict[str, str]:
    """Values of a block of YAML by their dotted names, as they are written; items of lists by their number.

    Parsing a thousand files as YAML would take longer than all else in a report. A line that is indented below one with
    a value continues it. Empty if the text is no such block.
    """
    values: dict[str, str] = {}
    open_keys: list[tuple[int, str]] = []
    items: dict[str, int] = {}
    last, indent_of_value = "", math.inf
    for line in filter(str.strip, text.splitlines()):
        content, indent = line.strip(), len(line) - len(line.lstrip())
        if indent > indent_of_value:
            values[last] += f" {content}"
            continue
        is_item = content == "-" or content.startswith("- ")
        # The items of a list may stand below their key without being indented.
        while open_keys and (open_keys[-1][0] > indent or (open_keys[-1][0] == indent and not is_item)):
            open_keys.pop()
        above = [key for _, key in open_keys]
        if is_item:
            prefix = ".".join(above)
            key, value = f"{items.get(prefix, 0)}", content[1:].strip()
            items[prefix] = int(key) + 1
        else:
            found = _KEY.match(content)
            if found is None:
                return {}
            key, value = found[1], content[found.end() :].strip()
            open_keys.append((indent, key))
        last = ".".join([*above, key])
        indent_of_value = indent if value else math.inf
        if value:
            values[last] = value
    return values
