"""Which images are to be answered, and what each is called in tables and files."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from s4mi.data.files import SUFFIXES, stem_of, suffix_of
from s4mi.data.manifest import load_manifest
from s4mi.data.volumes import count_frames
from s4mi.errors import S4miError
from s4mi.inference.dataset_images import DatasetImage, dataset_images, is_data_set
from s4mi.inference.input_files import find_images
from s4mi.records import Part, TaskKind

if TYPE_CHECKING:
    from s4mi.training.run_dir import RunDir


@dataclass(frozen=True)
class InputImage:
    """A file to be answered.

    Attributes:
        name: what tables call it. place: the path of its answers below a folder, without ending.
        frames: pages, frames or slices in it, each of which is a picture of its own.
        values: (H, W) or (H, W, 3|4) of an image in memory, which is no file: `picture.path` then names it in messages.
    """

    name: str
    place: str
    picture: DatasetImage
    frames: int = 1
    values: NDArray[Any] | None = field(default=None, compare=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """What tables call each of its pictures: its name, or that with the number of the picture, from 0."""
        return (self.name,) if self.frames == 1 else tuple(f"{self.name}#{n:03d}" for n in range(self.frames))

    @property
    def places(self) -> tuple[str, ...]:
        """Where the answers to each of its pictures go."""
        return (self.place,) if self.frames == 1 else tuple(f"{self.place}_{n:03d}" for n in range(self.frames))


def find_inputs(
    inputs: Sequence[Path], runs: "Sequence[RunDir]", part: Part | None, *, unannotated: TaskKind | None = None
) -> list[InputImage]:
    """Every image file in files and folders, and every image of data sets.

    Args:
        runs: what answers; their splits say what a part is. part: of a data set, the images that are in this part of
            the split of every run; None for all. unannotated: of a data set, those without annotation for this task
            alone; None for all.

    Raises:
        S4miError: something is not there, there are no images, or what is in the part or annotated is not known.
    """
    data_sets = [given for given in inputs if is_data_set(given)]
    files = [given for given in inputs if given not in data_sets]
    if part is not None and not data_sets:
        raise S4miError(
            f"{inputs[0]}: is no data set, so none of its images is known to be in the {part} part; "
            "leave out --split, or give a folder with dataset.yaml and manifest.csv"
        )
    if unannotated is not None and not data_sets:
        raise S4miError(
            f"{inputs[0]}: is no data set, so which of its images are annotated is not known; "
            "leave out --unannotated, or give a folder with dataset.yaml and manifest.csv"
        )
    if part is not None and not runs:
        raise S4miError(f"{data_sets[0]}: an ONNX file knows no split; leave out --split, or give the run it came from")
    asked: list[InputImage] = []
    for image in find_images(files) if files else ():
        place = _place(image.name)
        asked.append(InputImage(image.name, place, DatasetImage(image.path, place)))
    for folder in data_sets:
        pictures = dataset_images(load_manifest(folder), runs, part)
        if unannotated is not None:
            pictures = _unannotated(pictures, unannotated, folder)
        asked += [InputImage(one.name, one.name, one) for one in pictures]
    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(count_frames, [one.picture.path for one in asked]))
    return _told_apart([replace(one, frames=count) for one, count in zip(asked, counts, strict=True)])


def _unannotated(pictures: Sequence[DatasetImage], kind: TaskKind, folder: Path) -> list[DatasetImage]:
    left = [one for one in pictures if (one.mask if kind == "segmentation" else one.labels) is None]
    if not left:
        what = "a mask" if kind == "segmentation" else "a label"
        raise S4miError(f"{folder}: all {len(pictures)} images that are asked for have {what}; leave out --unannotated")
    return left


def _place(name: str) -> str:
    """The name of an image without its ending; a DICOM file that has none keeps all of its name."""
    path = Path(name)
    return (path.with_name(stem_of(path)) if suffix_of(path) in SUFFIXES else path).as_posix()


def _told_apart(asked: list[InputImage]) -> list[InputImage]:
    """Images of one name, from several folders, are called by their whole path."""
    seen = Counter(one.name for one in asked)
    return [replace(one, name=one.picture.path.as_posix()) if seen[one.name] > 1 else one for one in asked]
