"""The networks that settings name, and whether they exist, asked before any run of a study.

Those of the table of published weights are known without timm and torch, whose import takes seconds; for others the
libraries are asked.
"""

from functools import cache

from s4mi.config.choice import each_of, value_of
from s4mi.config.methods import METHOD_CONFIGS
from s4mi.config.published_table import is_listed
from s4mi.config.weight_settings import network_identity
from s4mi.contract import MethodConfig, NetworkKind
from s4mi.errors import S4miError
from s4mi.nets.network_names import LABELS

NETWORK = ("backbone", "encoder", "network")
"""Settings that may name the network of a method with a single network."""


def network_key(method: type[MethodConfig] | None) -> str | None:
    """Setting that names the network of a method; None if the method has several networks or is unknown."""
    return None if method is None else next((key for key in NETWORK if key in method.model_fields), None)


def check_networks(method: MethodConfig, *, origin: str) -> None:
    """Raise `S4miError` if a network of a method is unknown; `origin` is the prefix of its message.

    Methods of other packages may have networks of their own, and check them themselves.
    """
    if type(method) not in METHOD_CONFIGS:
        return
    for setting, kind in method.network_settings().items():
        for name in each_of(value_of(method, setting)):
            try:
                _check(name, kind)
            except S4miError as error:
                raise S4miError(f"{origin}: method.{setting}: {error}") from error


@cache
def _check(name: str, kind: NetworkKind) -> None:
    """Check a network; a study names the same one in many runs."""
    if kind == "segmenter" and name in LABELS:
        return
    identity = network_identity(name, kind)
    if identity is not None and is_listed(*identity):
        return
    if kind == "segmenter":
        from s4mi.nets.networks import check_network  # with torch

        check_network(name)
    else:
        from s4mi.nets.backbone import check_backbone  # with torch

        check_backbone(name)
