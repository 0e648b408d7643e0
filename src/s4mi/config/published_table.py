"""Published weights of the networks that `auto` tries, known without timm and torch, whose import takes seconds.

`docs/generate.py` writes what the libraries say to `published_table.json`, with their versions. Of other versions, and
of other networks, the libraries themselves are asked.
"""

import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from s4mi.nets.network_names import Library
from s4mi.nets.published_source import Published

TABLE = "published_table.json"
LIBRARIES = ("timm", "segmentation_models_pytorch")


def published(name: str, library: Library) -> Published | None:
    """`nets.published_weights.published`, from the table if that has the network."""
    stored = _stored().get(library, {})
    if name in stored:
        return None if stored[name] is None else Published(**stored[name])
    from s4mi.nets.published_weights import published as asked

    return asked(name, library=library)


def is_listed(name: str, library: Library) -> bool:
    """Whether the table has a network, so that no library need be asked whether there is one."""
    return name in _stored().get(library, {})


@cache
def _stored() -> dict[str, dict[str, Any]]:
    """Weights by library and network; empty if other versions are installed than those of the table."""
    table = json.loads((files("s4mi.config") / TABLE).read_text(encoding="utf-8"))
    weights: dict[str, dict[str, Any]] = table["weights"]
    return weights if table["versions"] == installed_versions() else {}


def installed_versions() -> dict[str, str]:
    """Version of each library; empty where it is not known."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def as_json() -> str:
    """The table, as `published_table.json` has it, of the installed versions."""
    from s4mi.config.best_networks import BEST
    from s4mi.config.weight_settings import network_identity
    from s4mi.nets.backbone import TINY
    from s4mi.nets.published_weights import published as asked

    weights: dict[str, dict[str, Any]] = {"timm": dict.fromkeys(TINY), "smp": {}}
    for kind, names in BEST.items():
        for one in names:
            identity = network_identity(one, kind)
            assert identity is not None
            name, library = identity
            source = asked(name, library=library)
            weights[library][name] = None if source is None else asdict(source)
    ordered = {library: dict(sorted(found.items())) for library, found in weights.items()}
    table = {"versions": installed_versions(), "weights": ordered}
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"
