"""Weights that timm and segmentation_models_pytorch publish: source, licence, and whether they are in a cache.

Nothing here uses the network.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
import segmentation_models_pytorch as smp
import timm
import torch
from timm.models import PretrainedCfg

from s4mi.nets.network_names import Library

_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Published:
    """Published weights of a network.

    Attributes:
        title: library, network and tag, such as "timm resnet50.a1_in1k".
        repository, revision: where they are on the hub; empty: nowhere. url: address of the file elsewhere.
        licence: as published; empty: not stated.
    """

    title: str
    repository: str = ""
    revision: str | None = None
    url: str = ""
    licence: str = ""

    @property
    def cached(self) -> bool:
        """Whether the library would load them from its cache."""
        if self.repository:
            files = (
                huggingface_hub.try_to_load_from_cache(self.repository, name, revision=self.revision) for name in _FILES
            )
            return any(isinstance(file, str) for file in files)
        return bool(self.url) and (torch_cache() / Path(urlsplit(self.url).path).name).is_file()

    @property
    def address(self) -> str:
        """Where they are downloaded from."""
        if not self.repository:
            return self.url
        return huggingface_hub.hf_hub_url(self.repository, _FILES[0], revision=self.revision)


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


def torch_cache() -> Path:
    """Folder in which torch keeps downloaded weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"
