"""Embed images: write the features of an encoder as a table, and a 2-D projection of them.

<out>.parquet   one row per image: id, image, label, group, split, encoder, feature
<out>.svg       the projection, coloured by class
<out>.json      the points of the projection, a FeatureMap
errors.csv      in the same folder, if images could not be read
"""

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
from s4mi.data.formats.intensity import Pixels
from s4mi.data.manifest import load_manifest
from s4mi.data.parallel import in_parallel
from s4mi.data.row import MANIFEST_NAME, PARTS
from s4mi.data.spec import NO_CLASS, SPEC_NAME, load_spec
from s4mi.data.splits.split_file import read_split_ids
from s4mi.errors import S4miError, require_extra
from s4mi.inference.dataset_images import shared_limits
from s4mi.inference.encoders import Encoder, load_encoder
from s4mi.inference.features import BLOCK, Projection, decode, feature_map, features_of
from s4mi.inference.input_files import ErrorList, Unreadable, find_images
from s4mi.inference.writers.only_writer import only_writer
from s4mi.records import FeatureMap, Part, write_text_atomically
from s4mi.records.atomic import replacing
from s4mi.reporting.figures.feature_maps import draw_feature_map
from s4mi.reporting.figures.svg import standalone
from s4mi.training.feature_stores import feature_store
from s4mi.training.run_dir import RunDir
from s4mi.training.run_method import make_runtime

TABLE = ".parquet"
BATCH = 64


@dataclass(frozen=True)
class EmbedResult:
    """What `embed_run` wrote.

    Attributes:
        table, picture, points: the three files.
        encoder: the encoder used. others: further encoders of the run.
        embedded: embedded images. failed: unreadable images.
    """

    table: Path
    picture: Path
    points: Path
    encoder: str
    others: tuple[str, ...]
    embedded: int
    failed: int


@dataclass(frozen=True)
class _Image:
    """An image with its entries in the data set; all None for an image in a plain folder."""

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
    """Embed every image of a data set or a plain folder, preprocessed like the run's training images.

    Args:
        out: path of the table, which must end in `.parquet`.
        encoder: name of one of the run's encoders; None for the first.
        batch_size: images, or tiles of images, in a forward pass.

    Raises:
        S4miError: the run, encoder or images do not exist, it is a segmentation run, the features cannot be projected,
            or another process writes to the same folder.
    """
    if out.suffix.lower() != TABLE:
        raise S4miError(f"{out}: not a file name for a table of features; end it in {TABLE}")
    if projection == "umap":
        require_extra("umap", extra="umap", purpose="UMAP projection")
    config = RunDir(run).config()
    images = list(_images(dataset, run, config))
    runtime = make_runtime(config)
    chosen = load_encoder(runtime, run, name=encoder)
    with only_writer(out.parent):  # which has one errors.csv
        failed = ErrorList(out.parent / "errors.csv")
        intensity = load_spec(run).rule
        read = partial(
            decode, preprocessing=config.data.preprocessing, intensity=intensity,
            limits=shared_limits([dataset], intensity),
        )  # fmt: skip
        decoded = _decoded(images, read, failed, progress)
        rows, blocks = [], []
        store, extractor = feature_store(config, runtime, batch_size=batch_size), chosen.extractor
        while block := list(islice(decoded, BLOCK)):
            rows += [image for image, _ in block]
            blocks.append(features_of(store, extractor, [tiles for _, tiles in block]))
        if not rows:
            raise S4miError(f"{dataset}: none of its {len(images)} images can be read; see {out.parent / 'errors.csv'}")
        features = torch.cat(blocks).numpy()
        projected = _project(run, rows, features, chosen, projection=projection, seed=config.seed)
        _write_table(out, rows, features, chosen.name)
        picture, points = out.with_suffix(".svg"), out.with_suffix(".json")
        svg = draw_feature_map(projected, title=f"Features of {dataset.resolve().name} by {chosen.name}")
        write_text_atomically(picture, standalone(svg or ""))
        write_text_atomically(points, projected.model_dump_json() + "\n")
        return EmbedResult(out, picture, points, chosen.name, chosen.others, embedded=len(rows), failed=failed.count)


def _images(dataset: Path, run: Path, config: RunConfig) -> Iterator[_Image]:
    """Yield the files of a folder, or the rows of a data set with their part, by the run's split if it is the run's."""
    if not ((dataset / SPEC_NAME).is_file() and (dataset / MANIFEST_NAME).is_file()):
        yield from (_Image(image.name, image.path) for image in find_images([dataset]))
        return
    ids_of = read_split_ids(RunDir(run).split_path) if dataset.resolve() == config.data.path.resolve() else None
    for row in load_manifest(dataset).rows:
        part = row.split if ids_of is None else next((part for part in PARTS if row.id in ids_of[part]), None)
        yield _Image(row.id, row.image, labels=row.labels, group=row.group, part=part)


def _decoded(
    images: Sequence[_Image],
    read: Callable[[Path], Pixels | str],
    failed: ErrorList,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[_Image, Pixels]]:
    """Yield each image with its (T, S, S, 3) tiles; unreadable images are added to `failed`."""
    # Always threads: processes would have to import torch first.
    results = in_parallel(read, [image.path for image in images], progress=progress, thread_limit=len(images))
    for image, result in zip(images, results, strict=True):
        if isinstance(result, str):
            failed.add(Unreadable(image.path, result))
        else:
            yield image, result


def _project(
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
    """Write the table atomically."""
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
    with replacing(out) as draft:
        table.write_parquet(draft)
