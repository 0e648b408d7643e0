"""Features of frozen extractors: looked up by the pixels of an image, computed where they are missing.

    store = feature_store(config, runtime)
    attach(method.extractors, store)
    for extractor in method.extractors:
        store.fill(extractor, cache, entries, views=method.views, progress=progress)
    data = labelled_features(store, method.extractors, cache, labelled, labels=…, groups=…, views=method.views)

Only `fill` and `keep` write to the disk: a prediction for a new image leaves nothing behind.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract.features import Extractor
from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.loading.feature_shard import Features, Ids, pixel_ids, shard_images
from s4mi.data.loading.feature_store import FeatureFolder
from s4mi.engine.cpu.frozen_network import Arithmetic, frozen_network, has_bfloat16
from s4mi.engine.runtime import Runtime
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.nets.frozen_encoder import FrozenEncoder
from s4mi.training.feature_pixels import as_images, entry_pixels, view_pixels
from s4mi.training.time_left import TimeLeft

BATCH = 32
"""Images in a forward pass. Features depend on it in the last bit, so an interrupted run continues with the same."""
LEAST_KEPT = 8
"""Least number of images for which `keep` writes a shard."""
EXACT = 1e-3
"""Greatest distance from a whole number of 255ths at which a pixel counts as one: what is left of rounding."""
FOLDER = "features"
"""Subfolder of `data.cache`."""
Precision = Literal["auto", "32", "bf16-mixed", "16-mixed"]
ProgressCallback = Callable[[int, int], None]

log = logging.getLogger("s4mi")


@final
class StoredFeatures:
    """Features on disk below `folder`, as `contract.features.FeatureStore`.

    All features are rounded to what is stored, usually float16, whether they come from the disk or not.
    """

    def __init__(
        self, folder: Path | None, runtime: Runtime, *, precision: Precision = "auto", batch_size: int = BATCH
    ) -> None:
        """Open a store.

        Args:
            folder: the folder of all extractors; None: nothing is stored.
            runtime: where features are computed, and at which precision.
            precision: "auto": on a CPU that multiplies in bfloat16, where that changes features little; else the
                runtime's.
            batch_size: images in a forward pass.
        """
        self._root, self._runtime, self._batch = folder, runtime, batch_size
        self._autocast = precision_of(runtime)
        self._arithmetic: Arithmetic = "float32" if self._autocast == torch.float32 else "bfloat16"
        if precision == "auto" and runtime.device.type == "cpu" and has_bfloat16():
            self._arithmetic = "mixed"
        self._fast: dict[str, Extractor] = {}
        self._folders: dict[str, FeatureFolder] = {}
        self._ids: dict[tuple[str, int], tuple[Ids, NDArray[np.bool_]]] = {}

    @property
    def device(self) -> torch.device:
        """Where features are computed."""
        return self._runtime.device

    def features(self, extractor: Extractor, images: Tensor) -> dict[str, Tensor]:
        """Return the features of (B, 3, H, W) images in [0, 1], float32 on their device; nothing is stored."""
        scaled = images.detach() * 255
        whole = scaled.round()
        exact = ((scaled - whole).abs().amax(dim=(1, 2, 3)) <= EXACT).cpu().numpy()
        pixels = whole.clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        ids = pixel_ids(pixels)
        found, stored = self._read(extractor, ids, exact)
        return self._complete(extractor, found, stored, lambda missing: images[missing], images.device)

    def fill(
        self,
        extractor: Extractor,
        cache: Cache,
        entries: NDArray[np.int64],
        *,
        views: int = 1,
        progress: ProgressCallback | None = None,
    ) -> int:
        """Store the features of cache entries in the first `views` of `TURNS` views; returns how many were missing.

        Args:
            progress: called with the number of images done and their total, views counted.

        Raises:
            S4miError: the store cannot be written, or features are not finite.
        """
        if self._root is None:
            return 0
        entries = np.asarray(entries, dtype=np.int64)
        ids = np.concatenate([self.ids(cache, entries, view) for view in range(views)])
        folder = self._folder(extractor)
        folder.check(ids)
        if folder.stored(ids).all():
            return 0

        def images(positions: NDArray[np.int64]) -> Tensor:
            return as_images(view_pixels(cache, entries, positions), self.device)

        with folder.adding():
            missing = _first_of_each(ids, ~folder.stored(ids))
            watch = TimeLeft(extractor.name, progress)
            self._add(extractor, folder, ids, missing, images, watch)
        return len(missing)

    def keep(self, extractor: Extractor, pixels: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Return the features of a block of (N, S, S, 3) pixels, float32 on the CPU, and store the missing ones.

        Fewer than `LEAST_KEPT` missing ones are not worth a file and are not stored. Blocks of 256 images make few
        files. If the store cannot be written, a warning says so, and nothing more is stored.
        """
        ids = pixel_ids(pixels)
        every, cpu = np.ones(len(ids), dtype=bool), torch.device("cpu")

        def images(missing: NDArray[np.int64]) -> Tensor:
            return as_images(pixels[missing], self.device)

        if self._root is not None and len(ids):
            folder = self._folder(extractor)
            try:
                if np.count_nonzero(~folder.stored(ids)) >= LEAST_KEPT:
                    with folder.adding():
                        missing = _first_of_each(ids, ~folder.stored(ids))
                        self._add(extractor, folder, ids, missing, images)
            except S4miError as error:
                log.warning("%s; features are computed without storing them", error)
                self._root = None
        return self._complete(extractor, *self._read(extractor, ids, every), images, cpu)

    def ids(self, cache: Cache, entries: NDArray[np.int64], view: int = 0) -> Ids:
        """Return the (N,) ids of cache entries in a view; each is hashed once."""
        if (cache.key, view) not in self._ids:
            known = np.zeros(len(cache.images), dtype=bool)
            self._ids[cache.key, view] = np.zeros(len(cache.images), dtype="S16"), known
        ids, known = self._ids[cache.key, view]
        new = np.unique(entries[~known[entries]])
        for start in range(0, len(new), BATCH):
            chunk = new[start : start + BATCH]
            ids[chunk] = pixel_ids(entry_pixels(cache, chunk, view))
        known[new] = True
        return ids[entries]

    def of_entries(
        self, extractor: Extractor, cache: Cache, entries: NDArray[np.int64], *, view: int = 0
    ) -> dict[str, Tensor]:
        """Return the features of cache entries in a view, float32 on the runtime's device, computing missing ones."""
        ids = self.ids(cache, entries, view)
        found, stored = self._read(extractor, ids, np.ones(len(ids), dtype=bool))
        device = self._runtime.device
        return self._complete(
            extractor,
            found,
            stored,
            lambda missing: as_images(entry_pixels(cache, entries[missing], view), device),
            device,
        )

    def _read(self, extractor: Extractor, ids: Ids, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Features]:
        """Which are stored, (N,), and their features."""
        found = np.zeros(len(ids), dtype=bool)
        if self._root is None or not wanted.any():
            return found, {}
        found[wanted], stored = self._folder(extractor).read(ids[wanted])
        return found, stored

    def _complete(
        self,
        extractor: Extractor,
        found: NDArray[np.bool_],
        stored: Features,
        images: Callable[[NDArray[np.int64]], Tensor],
        device: torch.device,
    ) -> dict[str, Tensor]:
        """Join stored features with those of the missing images, computed here."""
        missing = np.flatnonzero(~found)
        blocks = [
            self._compute(extractor, images(missing[i : i + self._batch])) for i in range(0, len(missing), self._batch)
        ]
        if not blocks:
            return {name: torch.from_numpy(array).to(device).float() for name, array in stored.items()}
        computed = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        joined = {}
        for name, new in computed.items():
            array = np.empty((len(found), *new.shape[1:]), dtype=new.dtype)
            array[~found] = new
            if found.any():
                array[found] = stored[name]
            joined[name] = torch.from_numpy(array).to(device).float()
        return joined

    @torch.inference_mode()
    def _compute(self, extractor: Extractor, images: Tensor) -> Features:
        """Compute features as they are stored: float16, on the CPU."""
        with self._runtime.autocast():
            outputs = self._faster(extractor).compute(images)
        kept = np.float16 if extractor.float16 else np.float32
        with np.errstate(over="ignore"):  # what becomes infinite is refused before it is stored
            return {name: output.float().cpu().numpy().astype(kept) for name, output in outputs.items()}

    def _faster(self, extractor: Extractor) -> Extractor:
        """Return the extractor, or its equivalent for CPUs; the runtime's autocast does the rest elsewhere."""
        if self.device.type != "cpu" or not isinstance(extractor, FrozenEncoder):
            return extractor.to(self.device).eval()
        if extractor.key not in self._fast:
            network = frozen_network(
                extractor.net.net, self._arithmetic, image_size=extractor.image_size, batch=self._batch
            )
            self._fast[extractor.key] = extractor.computing_with(network)
        return self._fast[extractor.key]

    def _add(
        self,
        extractor: Extractor,
        folder: FeatureFolder,
        ids: Ids,
        missing: NDArray[np.int64],
        images: Callable[[NDArray[np.int64]], Tensor],
        progress: ProgressCallback = lambda *_: None,
    ) -> None:
        """Compute and store the features of the missing ids, shard by shard.

        Args:
            images: returns the images of these positions among the ids.
        """
        blocks: list[Features] = []
        begun = 0  # first image of the shard
        for start in range(0, len(missing), self._batch):
            chunk = missing[start : start + self._batch]
            blocks.append(self._compute(extractor, images(chunk)))
            done = start + len(chunk)
            per_image = sum(array[0].nbytes for array in blocks[0].values())
            if done - begun >= shard_images(per_image, batch=self._batch) or done == len(missing):
                joined = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
                _check_finite(extractor, joined)
                folder.add(ids[missing[begun:done]], joined)
                blocks, begun = [], done
            progress(done, len(missing))

    def _folder(self, extractor: Extractor) -> FeatureFolder:
        assert self._root is not None
        mixed = self._arithmetic == "mixed" and isinstance(extractor, FrozenEncoder)
        precision = "mixed" if mixed else str(self._autocast).removeprefix("torch.")
        name = f"{extractor.key}-{precision}"
        if name not in self._folders:
            info = {"extractor": extractor.name, "key": extractor.key, "precision": precision}
            self._folders[name] = FeatureFolder(self._root / name, info)
        return self._folders[name]


def precision_of(runtime: Runtime) -> torch.dtype:
    """Precision of the runtime's forward passes."""
    with runtime.autocast():
        kind = runtime.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def _first_of_each(ids: Ids, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the positions of the wanted ids, ascending, and of equal ids the first."""
    positions = np.flatnonzero(wanted)
    return positions[np.sort(np.unique(ids[positions], return_index=True)[1])]


def _check_finite(extractor: Extractor, features: Features) -> None:
    for name, array in features.items():
        bad = int((~np.isfinite(array)).reshape(len(array), -1).any(axis=1).sum())
        if bad:
            raise S4miError(
                f"{extractor.name}: the features {name!r} of {plural(bad, 'image')} are not finite as {array.dtype}; "
                "choose another encoder"
            )
