"""Weights that timm and segmentation_models_pytorch publish: source, licence, and whether they are in a cache.

Nothing here uses the network.
"""

import segmentation_models_pytorch as smp
import timm
from timm.models import PretrainedCfg

from s4mi.nets.network_names import Library
from s4mi.nets.published_source import Published


def published(name: str, *, library: Library = "timm") -> Published | None:
    """The weights that `weights: imagenet` stands for, or None if the library has none."""
    if library == "smp":
        return _of_smp(name)
    cfg = pretrained_cfg(name)
    if cfg is None or not timm.models.is_model_pretrained(name):
        return None
    base, _ = timm.models.split_model_name_tag(name)
    title = f"timm {base}.{cfg.tag}" if cfg.tag else f"timm {base}"
    return Published(title, cfg.hf_hub_id or "", None, cfg.url or "", (cfg.license or "").lower())


def _of_smp(name: str) -> Published | None:
    settings = smp.encoders.encoders.get(name, {}).get("pretrained_settings", {}).get("imagenet")
    if settings is None:
        return None
    title = f"segmentation_models_pytorch {name}"
    return Published(title, settings.get("repo_id", ""), settings.get("revision"), settings.get("url", ""))


def pretrained_cfg(name: str) -> PretrainedCfg | None:
    """What timm knows of the weights of a network: normalisation, image size, licence; None: nothing."""
    return timm.get_pretrained_cfg(name) if timm.is_model(name) else None
