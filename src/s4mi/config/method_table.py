"""The table of `s4mi methods`, before torch is imported, which takes seconds.

`docs/generate.py` writes what the settings classes say of the methods of this package to `method_table.json`. Methods
of other packages are imported, as only their settings classes can describe them.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from importlib.resources import files

TABLE = "method_table.json"
GROUP = "s4mi.methods"
"""Group of the entry points of other packages."""
OWN = "s4mi"


@dataclass(frozen=True)
class MethodRow:
    """A method as `s4mi methods` lists it.

    Attributes:
        tasks: in alphabetical order.
        origin: `s4mi`, or the distribution that provides it, with its version.
    """

    name: str
    tasks: tuple[str, ...]
    summary: str
    paper: str
    origin: str


def has_others() -> bool:
    """Whether packages are installed that provide methods, which the table does not list."""
    return any(entry_points(group=GROUP))


def stored_rows() -> list[MethodRow]:
    """The methods of this package."""
    rows = json.loads((files("s4mi.config") / TABLE).read_text(encoding="utf-8"))
    return [MethodRow(**{**row, "tasks": tuple(row["tasks"])}) for row in rows]


def as_json(rows: Iterable[MethodRow]) -> str:
    """The methods of this package among `rows`, as `method_table.json` has them."""
    return json.dumps([asdict(row) for row in rows if row.origin == OWN], indent=1, ensure_ascii=False) + "\n"
