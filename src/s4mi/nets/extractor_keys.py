"""Keys of the extractors that a head was fitted to, in its checkpoint: other features would give other predictions."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from s4mi.contract import Extractor
from s4mi.errors import S4miError


@final
class ExtractorKeys(nn.Module):
    """Verifies, when a checkpoint is loaded, that its head was fitted to features of the same extractors."""

    keys: Tensor

    def __init__(self, extractors: Sequence[Extractor]) -> None:
        super().__init__()
        self._names = [extractor.name for extractor in extractors]
        table = [list(bytes.fromhex(extractor.key)) for extractor in extractors]
        self.register_buffer("keys", torch.tensor(table, dtype=torch.uint8))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        loaded = state_dict.get(f"{prefix}keys")
        if isinstance(loaded, Tensor) and loaded.shape == self.keys.shape:
            for name, ours, theirs in zip(self._names, self.keys.tolist(), loaded.tolist(), strict=True):
                if ours != theirs:
                    raise S4miError(
                        f"the features of {name!r} are not those that the head was fitted to: its weights, the size of "
                        "images or the version have changed; restore them, or fit the run again"
                    )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
