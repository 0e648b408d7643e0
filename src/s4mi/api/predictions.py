"""Predictions in memory: a class or a mask per image, which notebooks show as an overlay."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from s4mi.api.show import Html, cards, heading, legend, note, picture, table
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    import numpy as np
    import polars
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

    from s4mi.api.images import Image
    from s4mi.data.formats.intensity import Intensity, Pixels
    from s4mi.inference.image_list import InputImage
    from s4mi.records import TaskKind

    Probabilities = NDArray[np.float32]

SHOWN = 12
"""Predictions of a list that a notebook shows as pictures; all are in its table."""
LARGE = 384
"""Longest side in pixels of a single prediction in a notebook."""


@dataclass(frozen=True)
class PredictionSource:
    """Where the pixels of a prediction come from: page `page` of an image, its numbers mapped by `rule`."""

    image: "InputImage"
    page: int
    rule: "Intensity"

    def __post_init__(self) -> None:
        if self.image.values is None:  # the file stays the same after os.chdir
            source = replace(self.image.source, path=self.image.source.path.absolute())
            object.__setattr__(self, "image", replace(self.image, source=source))

    def pixels(self) -> "Pixels":
        """(H, W, 3) uint8."""
        from s4mi.inference.pipeline import read_input

        return read_input(self.image, self.rule)[self.page]

    def truth(self, size: tuple[int, int], classes: tuple[str, ...]) -> "Pixels | None":
        """(H, W) class indices of the data set's own mask; None where it has none.

        Raises:
            S4miError: it cannot be read, has another size, or its classes are not `classes`.
        """
        from s4mi.inference.dataset_images import read_true_mask
        from s4mi.inference.input_files import Unreadable

        theirs = self.image.source.mask_classes
        if self.image.source.mask is not None and theirs != classes:
            raise S4miError(
                f"{self.image.source.mask}: has the classes {', '.join(theirs)}, but the model {', '.join(classes)}; "
                "pass a mask of the model's classes as truth"
            )
        truth = read_true_mask(self.image.source, size)
        if isinstance(truth, Unreadable):
            raise S4miError(f"{truth.path}: {truth.message}")
        return truth


@dataclass(frozen=True, repr=False, eq=False)
class Prediction:
    """The prediction for one image. `numpy.asarray` of it is its mask or, of a classifier, its probabilities.

    Attributes:
        id: name of the image: its path, its id in the data set, or `image 0` for the first array of a list.
        task: multiclass, multilabel or segmentation.
        classes: names in the order of the probabilities and of the indices in a mask; a mask's first is background.
        labels: predicted classes: one; of a multi-label model any number; of a segmenter those present in the mask.
        source: where its pixels come from.
        unnamed: the classes are clusters without names.
    """

    id: str
    task: "TaskKind"
    classes: tuple[str, ...]
    labels: tuple[str, ...]
    source: PredictionSource
    unnamed: bool = False
    _mask: "Pixels | None" = None
    _probabilities: "Probabilities | None" = None

    @property
    def label(self) -> str:
        """The predicted class; of a multi-label model all of them joined by `;`, or `none`.

        Raises:
            S4miError: the model is a segmenter.
        """
        from s4mi.data.spec import NO_CLASS

        if self._mask is not None:
            raise S4miError(f"{self.id}: a segmentation model predicts a mask, not a class; use .mask")
        return ";".join(self.labels) or NO_CLASS

    @property
    def probabilities(self) -> "Probabilities":
        """(K,) float32, calibrated; they sum to 1 unless the model is multi-label.

        Raises:
            S4miError: the model is a segmenter, whose probabilities per pixel are not kept.
        """
        if self._probabilities is None:
            raise S4miError(f"{self.id}: probabilities per pixel are not kept; use predict_proba")
        return self._probabilities

    @property
    def mask(self) -> "Pixels":
        """(H, W) uint8 class indices at the image's own size.

        Raises:
            S4miError: the model is a classifier.
        """
        if self._mask is None:
            raise S4miError(f"{self.id}: a {self.task} model predicts no mask; use .label or .probabilities")
        return self._mask

    @property
    def shares(self) -> dict[str, float]:
        """Share of the image that each class of the mask covers, in [0, 1].

        Raises:
            S4miError: the model is a classifier.
        """
        import numpy as np

        counts = np.bincount(self.mask.reshape(-1), minlength=len(self.classes))
        return {name: int(counts[k]) / self.mask.size for k, name in enumerate(self.classes)}

    @property
    def pixels(self) -> "Pixels":
        """(H, W, 3) uint8 RGB: the image as it was read, before it was resized for the network.

        Raises:
            S4miError: its file cannot be read any more.
        """
        return self.source.pixels()

    def overlay(self, *, truth: "NDArray[np.uint8] | bool" = False) -> "PilImage":
        """The image at its own size with each foreground class of the mask in its colour.

        Args:
            truth: compare with the true mask instead: (H, W) class indices, or True for the data set's own. Green is
                found, orange missed, purple wrong; the white line is the true outline.

        Raises:
            S4miError: the model is a classifier, the image has no true mask, or the true mask has another size or, as
                the data set's own, other classes.
        """
        mask = self.mask
        true: Pixels | None = None if isinstance(truth, bool) else truth
        if truth is True:
            true = self.source.truth((mask.shape[0], mask.shape[1]), self.classes)
            if true is None:
                raise S4miError(f"{self.id}: has no true mask; pass one as truth, or predict a data set with masks")
        return _drawn(self.pixels, mask, true, unnamed=self.unnamed)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> "NDArray[Any]":
        import numpy as np

        return np.array(self._probabilities if self._mask is None else self._mask, dtype=dtype, copy=bool(copy) or None)

    def __str__(self) -> str:
        if self._mask is None:
            return self.label
        return ", ".join(f"{name} {share:.1%}" for name, share in list(self.shares.items())[0 if self.unnamed else 1 :])

    def __repr__(self) -> str:
        return f"Prediction({self.id!r}: {self})"

    def _repr_html_(self) -> str:
        shown = picture(self.pixels, alt=self.id, side=LARGE)
        if self._mask is None:
            ranked = sorted(zip(self.classes, self.probabilities.tolist(), strict=True), key=lambda one: -one[1])
            bars = table(("class", "probability", ""), ((name, f"{p:.3f}", _bar(p)) for name, p in ranked))
            return heading(f"{self.id}: {self.label}") + cards([(shown, "")]) + bars
        import numpy as np

        overlay = picture(np.asarray(self.overlay()), alt=f"{self.id} with its mask", side=LARGE)
        return heading(f"{self.id}: {self}") + cards([(shown, ""), (overlay, "")]) + legend(self._colours())

    def _colours(self) -> list[tuple[str, tuple[int, int, int]]]:
        return class_colours(self.classes, unnamed=self.unnamed)


class PredictionList(list[Prediction]):
    """Predictions for several images, in their order; a list with a table."""

    @property
    def table(self) -> "polars.DataFrame":
        """One row per image: `id`; of classifiers `prediction` and a probability per class; of segmenters the share of
        the image that each class covers, in [0, 1]."""
        import polars

        rows: list[dict[str, object]] = []
        for one in self:
            if one.task == "segmentation":
                rows.append({"id": one.id, **one.shares})
            else:
                probabilities = zip(one.classes, one.probabilities.tolist(), strict=True)
                rows.append({"id": one.id, "prediction": one.label, **dict(probabilities)})
        return (
            polars.from_dicts(rows, infer_schema_length=None)
            if rows
            else polars.DataFrame(schema={"id": polars.String})
        )

    def __repr__(self) -> str:
        return f"PredictionList of {plural(len(self), 'image')}"

    def _repr_html_(self) -> str:
        import numpy as np

        shown = []
        for one in self[:SHOWN]:
            pixels = one.pixels if one._mask is None else np.asarray(one.overlay())
            shown.append((picture(pixels, alt=one.id), f"{one.id}\n{one}"))
        colours = self[0]._colours() if self and self[0].task == "segmentation" else []
        more = len(self) - len(shown)
        return (
            cards(shown)
            + legend(colours)
            + note(f"and {plural(more, 'more image')}; all are in .table" if more else "")
        )


@system_errors()
def overlay(
    image: "Image", mask: "NDArray[np.uint8] | Prediction", *, truth: "NDArray[np.uint8] | None" = None
) -> "PilImage":
    """An image with a mask over it, each foreground class in its colour.

    Args:
        image: an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or the path of an image file.
        mask: (H, W) uint8 class indices at the image's own size, 0 for background; or a prediction.
        truth: the true mask to compare with. Green is found, orange missed, purple wrong; the white line is the true
            outline.

    Raises:
        S4miError: the image cannot be read, or a mask has another size or type.
    """
    from s4mi.api.images import read_pixels
    from s4mi.data.formats.intensity import Intensity

    unnamed = isinstance(mask, Prediction) and mask.unnamed
    own = mask.mask if isinstance(mask, Prediction) else mask
    return _drawn(read_pixels(image, Intensity()), own, truth, unnamed=unnamed)


def class_colours(classes: tuple[str, ...], *, unnamed: bool = False) -> list[tuple[str, tuple[int, int, int]]]:
    """Every class that overlays colour, and its colour (red, green, blue)."""
    from s4mi.inference.overlays.masks import class_colour, cluster_colour

    if unnamed:
        return [(name, cluster_colour(number)[1]) for number, name in enumerate(classes)]
    return [(name, class_colour(index)[1]) for index, name in enumerate(classes) if index]


def _drawn(pixels: "Pixels", mask: "Pixels", truth: "Pixels | None", *, unnamed: bool) -> "PilImage":
    from PIL import Image

    from s4mi.inference.overlays.masks import class_overlay, cluster_overlay, comparison_overlay

    mask = _checked(mask, "mask", pixels)
    if truth is not None:
        return Image.fromarray(comparison_overlay(pixels, _checked(truth, "truth", pixels), mask))
    return Image.fromarray((cluster_overlay if unnamed else class_overlay)(pixels, mask))


def _checked(mask: "Pixels", name: str, pixels: "Pixels") -> "Pixels":
    import numpy as np

    given = np.asarray(mask)
    if given.dtype.kind not in "biu" or (given.size and (given.min() < 0 or given.max() > 255)):
        raise S4miError(f"{name}: expected class indices from 0 to 255 (uint8), got {given.dtype}")
    if given.shape != pixels.shape[:2]:
        sizes = ["×".join(map(str, shape)) for shape in (given.shape, pixels.shape[:2])]
        raise S4miError(f"{name}: is {sizes[0]}, but its image is {sizes[1]}; pass a mask at the image's own size")
    return given.astype(np.uint8)


def _bar(probability: float) -> Html:
    return Html(
        '<span style="display:inline-block;width:120px;text-align:left"><span style="display:inline-block;height:.7em;'
        f'width:{round(120 * probability)}px;background:#0072b2"></span></span>'
    )
