"""`auto` for networks and their weights: the best that is at hand, as a concrete value with the reason for it.

    weights: auto     a file for this network in one of the folders of $S4MI_WEIGHTS, then in torch's cache;
                      published weights in the hub's cache, then those that can be downloaded; none, with a warning
    backbone: auto    the first network of a list for which there are such weights

This is the only place that looks at $S4MI_WEIGHTS. A run's config.yaml holds the concrete values.
"""

import logging
import os
from functools import cache
from pathlib import Path
from typing import TypeVar

from s4mi.config.at_hand import at_hand
from s4mi.config.best_networks import BEST, WITHOUT_WEIGHTS
from s4mi.config.choice import NOWHERE, AtHand, Choice, each_of, pairs_of, value_of
from s4mi.config.weight_settings import network_identity
from s4mi.contract import AUTO, MethodConfig, NetworkKind, PretrainedConfig
from s4mi.home import expanded
from s4mi.nets.initial_weights import ENCODERS, IMAGENET, NONE

NOT_USED = "not used, as the run starts from method.pretrained"
"""Reason for a choice of weights without effect."""

log = logging.getLogger("s4mi")
Config = TypeVar("Config", bound=MethodConfig)


def resolve(method: Config, *, image_size: int) -> tuple[Config, dict[str, Choice]]:
    """Return the method with concrete values for each `auto`, and what was chosen, by setting."""
    choices: dict[str, Choice] = {}
    weights_of = {network: weights for weights, network in method.weight_settings().items()}
    for setting, kind in method.network_settings().items():
        if value_of(method, setting) == AUTO:
            asked = value_of(method, weights_of.get(setting, ""))
            name, why = _best_network(method, kind, str(asked or AUTO), image_size=image_size)
            method = method.model_copy(update={setting: name})
            choices[f"method.{setting}"] = Choice(value=name, why=why)
    for setting, network in method.weight_settings().items():
        if AUTO in each_of(value_of(method, setting)):
            found = [
                (one, _best_weights(method, network, one)) if asked == AUTO else (one, AtHand(asked, ""))
                for one, asked in pairs_of(value_of(method, network), value_of(method, setting))
            ]
            values = [each.value for _, each in found]
            single = isinstance(value_of(method, network), str)
            method = method.model_copy(update={setting: values[0] if single else tuple(values)})
            why = "; ".join(each.why if single else f"{one}: {each.why}" for one, each in found if each.why)
            choices[f"method.{setting}"] = Choice(value=str(value_of(method, setting)), why=why)
    name = method.backbone_name if choices else ""
    for setting, choice in choices.items():
        _say(setting, choice.value, choice.why, name)
    return method, choices


@cache
def _say(setting: str, value: str, why: str, network: str) -> None:
    """Log a choice, once in a process: a study has the same one in many runs."""
    if value == NONE and why != NOT_USED:
        log.warning("%s: auto is none, so that %s starts from random weights: %s", setting, network, why)
    else:
        log.info("%s: auto is %s: %s", setting, value, why)


def _best_weights(method: MethodConfig, network: str, name: str) -> AtHand:
    """The best weights at hand of a method's network."""
    if isinstance(method, PretrainedConfig) and method.pretrained is not None:
        return AtHand(NONE, NOT_USED)
    identity = network_identity(name, method.network_settings()[network])
    return AtHand(NONE, NOWHERE) if identity is None else at_hand(*identity, folders=folders())


def _best_network(method: MethodConfig, kind: NetworkKind, asked: str, *, image_size: int) -> tuple[str, str]:
    """The first network of the list with the weights asked for, and why it, and not one before it, was taken."""
    if isinstance(method, PretrainedConfig) and method.pretrained is not None:
        saved = sorted(expanded(method.pretrained).glob(f"{ENCODERS}/*.safetensors"))
        if len(saved) == 1:
            return saved[0].stem.replace("--", "/"), "the encoder of method.pretrained"
    if asked == NONE:
        return WITHOUT_WEIGHTS[kind], "small, as it starts from random weights"
    passed_over = []
    for name in BEST[kind]:
        identity = network_identity(name, kind)
        assert identity is not None
        if asked not in (AUTO, IMAGENET):
            found = at_hand(*identity, folders=(), files=(Path(asked),))
        else:
            found = at_hand(*identity, folders=folders() if asked == AUTO else ())
        if found.value == NONE or asked == IMAGENET != found.value:
            continue
        if kind not in ("segmenter", "flexible_encoder") and (problem := _misfit(name, image_size)):
            passed_over.append(f"{name}: {problem}")
        else:
            skipped = f"; passed over: {'; '.join(passed_over)}" if passed_over else ""
            return name, f"the best with weights at hand, {found.why}{skipped}"
    return WITHOUT_WEIGHTS[kind], "no weights of any network of the list are at hand"


def _misfit(name: str, image_size: int) -> str:
    """Why a network does not take images of this size; empty if it does."""
    from s4mi.nets.backbone import takes_size  # builds it, with torch

    return takes_size(name, image_size)


def folders() -> tuple[Path, ...]:
    """The folders of $S4MI_WEIGHTS."""
    return tuple(expanded(part) for part in os.environ.get("S4MI_WEIGHTS", "").split(os.pathsep) if part)
