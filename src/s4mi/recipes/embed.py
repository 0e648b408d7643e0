"""What an encoder makes of images: their features as a table, and a map of them for a person to look at.

<out>.parquet   a row an image: id, image, label, group, split, encoder, feature
<out>.svg       the images on a plane, a class a colour
<out>.json      the points of that plane, a FeatureMap
errors.csv      beside them, where images could not be read
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import polars
import torch
from numpy.typing import NDArray

from s4mi.config import RunConfig
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.manifest import MANIFEST_NAME, PARTS, load_manifest
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import NO_CLASS, SPEC_NAME, load_spec
from s4mi.errors import S4miError, require_extra
from s4mi.inference.encoders import Encoder, load_encoder
from s4mi.inference.features import Projection, decode, feature_map, features_of
from s4mi.inference.input_files import ErrorList, Unreadable, find_images
from s4mi.records import FeatureMap, Part, write_text_atomically
from s4mi.report.figures.feature_maps import draw_feature_map
from s4mi.report.figures.svg import standalone
from s4mi.training.run_dir import RunDir, make_fabric

TABLE = ".parquet"
BATCH = 64


@dataclass(frozen=True)
class EmbedResult:
    """What `embed_run` wrote, with which encoder, and how many images it embedded and could not read."""

    table: Path
    picture: Path
    points: Path
    encoder: str
    others: tuple[str, ...]
    embedded: int
    failed: int


@dataclass(frozen=True)
class _Image:
    """An image and what the data set says of it; all None of an image in a plain folder."""

    id: str
    path: Path
    labels: tuple[str, ...] | None = None
    group: str | None = None
    part: Part | None = None


def embed_run(
    run: Path,
    dataset: Path,
    out: Path,
    *,
    encoder: str | None = None,
    projection: Projection = "pca",
    batch_size: int = BATCH,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> EmbedResult:
    """Embed every image of a data set, or of a plain folder, as the run's own training images were prepared.

    Args:
        out: the table, whose name ends in `.parquet`.
        encoder: which of the run's; the first when None.
        batch_size: images, or tiles of images, that go through the encoder at a time.

    Raises:
        S4miError: no such run, encoder or images, a segmentation run, or features that cannot be projected.
    """
    if out.suffix.lower() != TABLE:
        raise S4miError(f"{out}: is no name for a table of features; end it in {TABLE}")
    if projection == "umap":
        require_extra("umap", extra="umap", purpose="the projection umap")
    config = RunDir(run).config()
    images = list(_images(dataset, run, config))
    fabric = make_fabric(config)
    chosen = load_encoder(fabric, run, name=encoder)
    out.parent.mkdir(parents=True, exist_ok=True)
    failed = ErrorList(out.parent / "errors.csv")
    intensity = load_spec(run).rule
    decoded = _decoded(images, config.data.preprocessing, intensity, failed, progress)
    rows, blocks = [], []
    while block := list(islice(decoded, batch_size)):
        rows += [image for image, _ in block]
        blocks.append(features_of(fabric, chosen.network, [tiles for _, tiles in block], batch_size=batch_size))
    if not rows:
        raise S4miError(f"{dataset}: none of its {len(images)} images can be read; see {out.parent / 'errors.csv'}")
    features = torch.cat(blocks).numpy()
    drawn = _map(run, rows, features, chosen, projection=projection, seed=config.seed)
    _write_table(out, rows, features, chosen.name)
    picture, points = out.with_suffix(".svg"), out.with_suffix(".json")
    svg = draw_feature_map(drawn, title=f"Features of {dataset.resolve().name} by {chosen.name}")
    write_text_atomically(picture, standalone(svg or ""))
    write_text_atomically(points, drawn.model_dump_json() + "\n")
    return EmbedResult(out, picture, points, chosen.name, chosen.others, embedded=len(rows), failed=failed.count)


def _images(dataset: Path, run: Path, config: RunConfig) -> Iterator[_Image]:
    """Rows of a data set, each in the part that the run had it in where it is the run's own; or files of a folder."""
    if not ((dataset / SPEC_NAME).is_file() and (dataset / MANIFEST_NAME).is_file()):
        yield from (_Image(image.name, image.path) for image in find_images([dataset]))
        return
    own = _parts(RunDir(run).split_path) if dataset.resolve() == config.data.path.resolve() else None
    for row in load_manifest(dataset).rows:
        part = row.split if own is None else own.get(row.id)
        yield _Image(row.id, row.image, labels=row.labels, group=row.group, part=part)


def _parts(split: Path) -> dict[str, Part]:
    """The part of each image by its id; images that came later are in none."""
    try:
        contents = json.loads(split.read_text(encoding="utf-8"))
        return {str(one): part for part in PARTS for one in contents[part]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{split}: is no saved split ({error}); train the run again") from error


def _decoded(
    images: Sequence[_Image],
    preprocessing: Preprocessing,
    intensity: Intensity,
    failed: ErrorList,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[_Image, Pixels]]:
    """Each image with its (T, S, S, 3) tiles; those that cannot be read go on the list instead."""
    work = partial(decode, preprocessing=preprocessing, intensity=intensity)
    # Threads: a process would have to import torch first.
    results = in_parallel(work, [image.path for image in images], progress=progress, thread_limit=len(images))
    for image, result in zip(images, results, strict=True):
        if isinstance(result, str):
            failed.add(Unreadable(image.path, result))
        else:
            yield image, result


def _map(
    run: Path,
    images: Sequence[_Image],
    features: NDArray[np.float32],
    encoder: Encoder,
    *,
    projection: Projection,
    seed: int,
) -> FeatureMap:
    try:
        return feature_map(
            features,
            ids=[image.id for image in images],
            parts=[image.part for image in images],
            labels=[image.labels for image in images],
            encoder=encoder.name,
            projection=projection,
            seed=seed,
        )
    except ValueError as error:
        raise S4miError(f"{run}: {encoder.name}: {error}") from error


def _write_table(out: Path, images: Sequence[_Image], features: NDArray[np.float32], encoder: str) -> None:
    """The table, whole or not at all."""
    labels = [None if image.labels is None else ";".join(image.labels) or NO_CLASS for image in images]
    table = polars.DataFrame(
        {
            "id": [image.id for image in images],
            "image": [str(image.path) for image in images],
            "label": polars.Series(labels, dtype=polars.String),
            "group": polars.Series([image.group for image in images], dtype=polars.String),
            "split": polars.Series([image.part for image in images], dtype=polars.String),
            "encoder": [encoder] * len(images),
            "feature": polars.Series(features, dtype=polars.Array(polars.Float32, features.shape[1])),
        }
    )
    waiting = out.with_name(f".{out.name}.new")
    table.write_parquet(waiting)
    waiting.replace(out)
