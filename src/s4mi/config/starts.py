"""What weights each network of a method began with, for its record."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from s4mi.config.choice import Choice, pairs_of, value_of
from s4mi.config.weight_settings import network_identity
from s4mi.contract import MethodConfig, PretrainedConfig
from s4mi.nets.backbone import TINY
from s4mi.nets.initial_weights import IMAGENET, NONE, file_hash
from s4mi.nets.network_names import Library
from s4mi.nets.published_weights import pretrained_cfg, published
from s4mi.records import RANDOM, Start


def starts_of(method: MethodConfig, choices: dict[str, Choice]) -> tuple[Start, ...]:
    """What weights each network of a method began with, for its record."""
    return tuple(_starts(method, choices))


def _starts(method: MethodConfig, choices: dict[str, Choice]) -> Iterator[Start]:
    pretrained = isinstance(method, PretrainedConfig) and method.pretrained is not None
    for setting, network in method.weight_settings().items():
        given = value_of(method, setting)
        for name, weights in pairs_of(
            value_of(method, network), value_of(method, "weights") if given is None else given
        ):
            identity = network_identity(name, method.network_settings()[network])
            choice = choices.get(f"method.{setting}") or choices.get(f"method.{network}")
            content, licence = "", ""
            if pretrained:
                words = "pre-training"
            elif weights == NONE:
                words = RANDOM
            elif weights == IMAGENET:
                source = None if identity is None else published(identity[0], library=identity[1])
                words, licence = (IMAGENET, "") if source is None else (source.title, source.licence)
            else:
                words, content = f"file {Path(weights).name}", _content(Path(weights))
            yield Start(
                network=name,
                weights=words,
                content=content,
                licence=licence,
                auto=choice is not None and not pretrained,
                why="" if choice is None else choice.why,
                normalisation=_normalisation(identity),
            )


def _content(path: Path) -> str:
    return file_hash(path) if path.is_file() else ""


def _normalisation(identity: tuple[str, Library] | None) -> str:
    cfg = None if identity is None or identity[0] in TINY else pretrained_cfg(identity[0])
    return "" if cfg is None else f"mean {_numbers(cfg.mean)}, std {_numbers(cfg.std)}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
