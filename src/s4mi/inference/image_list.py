"""The images to predict, with their ids in tables and their output paths."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from s4mi.data.banded_page import banded_page
from s4mi.data.files import SUFFIXES, read_header, stem_of, suffix_of
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import DatasetImage, dataset_images, is_data_set
from s4mi.inference.input_files import find_images
from s4mi.records import Part, TaskKind

if TYPE_CHECKING:
    from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class InputImage:
    """An image file to predict.

    Attributes:
        name: its id in tables.
        output_stem: path of its outputs relative to the output folder, without suffix.
        source: the file with its known annotations.
        frame_count: pages, frames or slices of the file, each of which is predicted separately.
        values: (H, W) or (H, W, 3|4) of an image in memory instead of a file; `source.path` then names it in messages.
        limits: values that become 0 and 255 in the DICOM series of the file, if it shares one with other images.
        pixels: of a frame, 0 if unknown. banded: it is so large that it is read and predicted in bands of rows.
    """

    name: str
    output_stem: str
    source: DatasetImage
    frame_count: int = 1
    values: NDArray[Any] | None = field(default=None, compare=False)
    limits: tuple[float, float] | None = field(default=None, compare=False)
    pixels: int = field(default=0, compare=False)
    banded: bool = field(default=False, compare=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """Id of each frame in tables: the name, with the index of the frame if there are several."""
        if self.frame_count == 1:
            return (self.name,)
        return tuple(f"{self.name}#{n:03d}" for n in range(self.frame_count))

    @property
    def output_stems(self) -> tuple[str, ...]:
        """Output path of each frame, relative to the output folder and without suffix."""
        if self.frame_count == 1:
            return (self.output_stem,)
        return tuple(f"{self.output_stem}_{n:03d}" for n in range(self.frame_count))


def find_inputs(
    inputs: Sequence[Path], runs: "Sequence[RunDir]", part: Part | None, *, unannotated: TaskKind | None = None
) -> list[InputImage]:
    """Collect every image file in files and folders, and every image of data sets.

    Args:
        runs: the runs that predict; their splits define the parts.
        part: of a data set, only images in this part of the split of every run; None for all.
        unannotated: of a data set, only images without annotation for this task; None for all.

    Raises:
        S4miError: an input does not exist, there are no images, or it is unknown which are in the part or annotated.
    """
    data_sets = [path for path in inputs if is_data_set(path)]
    files = [path for path in inputs if path not in data_sets]
    if part is not None and not data_sets:
        raise S4miError(
            f"{inputs[0]}: not a data set, so the images of its {part} part are unknown; "
            "leave out --split, or pass a folder with dataset.yaml and manifest.csv"
        )
    if unannotated is not None and not data_sets:
        raise S4miError(
            f"{inputs[0]}: not a data set, so its annotated images are unknown; "
            "leave out --unannotated, or pass a folder with dataset.yaml and manifest.csv"
        )
    if part is not None and not runs:
        raise S4miError(
            f"{data_sets[0]}: an exported model has no split; leave out --split, or predict with the run it was "
            "exported from"
        )
    images: list[InputImage] = []
    for file in find_images(files) if files else ():
        stem = _output_stem(file.name)
        images.append(InputImage(file.name, stem, DatasetImage(file.path, stem)))
    for folder in data_sets:
        sources = dataset_images(load_manifest(folder), runs, part)
        if unannotated is not None:
            sources = _unannotated(sources, unannotated, folder)
        images += [InputImage(source.name, source.name, source) for source in sources]
    with ThreadPoolExecutor() as pool:
        return _unique_names(list(pool.map(_with_size, images)))


def _with_size(image: InputImage) -> InputImage:
    """Note the frames and the size of a file by its header; an unreadable file is reported when it is read."""
    try:
        header = read_header(image.source.path)
    except S4miError:
        return image
    banded = banded_page(image.source.path) is not None
    return replace(image, frame_count=header.frames, pixels=header.height * header.width, banded=banded)


def _unannotated(images: Sequence[DatasetImage], kind: TaskKind, folder: Path) -> list[DatasetImage]:
    remaining = [image for image in images if (image.mask if kind == "segmentation" else image.labels) is None]
    if not remaining:
        annotation = "a mask" if kind == "segmentation" else "a label"
        raise S4miError(f"{folder}: all {len(images)} selected images have {annotation}; leave out --unannotated")
    return remaining


def _output_stem(name: str) -> str:
    """The name of an image without its suffix; a DICOM file without suffix keeps its whole name."""
    path = Path(name)
    return (path.with_name(stem_of(path)) if suffix_of(path) in SUFFIXES else path).as_posix()


def _unique_names(images: list[InputImage]) -> list[InputImage]:
    """Use the whole path as name where images from several folders share one."""
    seen = Counter(image.name for image in images)
    return [replace(image, name=image.source.path.as_posix()) if seen[image.name] > 1 else image for image in images]
