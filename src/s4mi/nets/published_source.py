"""Where published weights are, and whether they are in a cache; known without torch.

Nothing here uses the network.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import huggingface_hub
from huggingface_hub import constants

from s4mi.home import expanded

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
            folder = Path(constants.HF_HUB_CACHE) / f"models--{self.repository.replace('/', '--')}"
            if not folder.is_dir():
                return False  # without the library's client, whose import takes longer than a plan may
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
        return f"{constants.ENDPOINT}/{self.repository}/resolve/{self.revision or 'main'}/{_FILES[0]}"


def torch_cache() -> Path:
    """Folder in which torch keeps downloaded weights: as torch says, or as it would say once it is imported."""
    if "torch" in sys.modules:
        import torch

        return Path(torch.hub.get_dir()) / "checkpoints"
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return expanded(home) / "hub" / "checkpoints"
