"""Import images stored as arrays (N, H, W[, C]) in `.npy`, `.npz` and HDF5 files, with masks, labels and patients."""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats import stacks
from s4mi.data.names import normalised
from s4mi.data.row import Row
from s4mi.data.sources.find_arrays import ArrayRef, ArrayStack, Role, find_stacks
from s4mi.data.sources.numbered_classes import numbered_classes
from s4mi.data.sources.types import EmbeddedImage, FoundDataset
from s4mi.data.sources.unused_options import refuse_unused
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.home import expanded


@dataclass(frozen=True)
class ArraysOptions:
    """Which arrays to import, and the names of classes.

    Attributes:
        images, masks, labels, groups: keys or files of the arrays; None: found by their words, `('',)`: none.
        classes: names of the classes of numbered labels, or of the columns of labels with one column per class.
        layers: names of the layers of masks with one layer per class, `background` for one that is none; of masks of
            numbers, which are read as they are, the names of 1, 2, …
        multilabel: whether an image may show any number of classes, even if each shows one.
    """

    images: tuple[str, ...] | None = None
    masks: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    multilabel: bool = False


def read_arrays(source: Path, options: ArraysOptions | None = None) -> FoundDataset:
    """Read labels and patients, and the headers of images and masks, which are read when they are extracted.

    Raises:
        S4miError: there are no images, or arrays that belong together differ in length or have unusable shapes.
    """
    options = options or ArraysOptions()
    source = expanded(source).resolve()
    if not source.exists():
        raise S4miError(f"{source}: does not exist; pass a file of arrays, or a folder of such files")
    keys: dict[Role, Sequence[str]] = {}
    for role in ("images", "masks", "labels", "groups"):
        if (asked := getattr(options, role)) is not None:
            keys[role] = asked
    found = find_stacks(source, keys)
    labels = [None if stack.labels is None else _Labels.read(stack.labels) for stack in found]
    kinds = {one.columns for one in labels if one is not None}
    if len(kinds) > 1:
        raise S4miError(f"{source}: labels have {sorted(kinds)} columns in different parts; import them separately")
    one_each = all(one is None or one.one_each for one in labels)
    multilabel = bool(kinds) and kinds != {1} and (options.multilabel or not one_each)
    _refuse_unused(found, kinds, options)
    names = _class_names(labels, options, source)
    rows: list[Row] = []
    embedded: dict[Path, EmbeddedImage] = {}
    for stack, of_stack in zip(found, labels, strict=True):
        for row, images in _rows(stack, of_stack, names, options):
            rows.append(row)
            embedded |= images
    parts = {row.split for row in rows}
    if len(parts) > 1 and None in parts:
        some = next(row.image.parent for row in rows if row.split is None)
        raise S4miError(
            f"{source}: {some.name} belongs to no part, others to train, val or test; import them separately"
        )
    findings = tuple(_findings(found))
    kind = f"arrays ({', '.join(sorted({stack.images.file.suffix.lower() for stack in found}))})"
    folder = source if source.is_dir() else source.parent
    return FoundDataset(
        folder, kind, tuple(rows), classes=names, findings=findings, multilabel=multilabel, embedded=embedded,
        listed=source.is_file(),
    )  # fmt: skip


@dataclass(frozen=True)
class _Labels:
    """Labels of a stack: (N, L) numbers or text; L is 1 for one class per image, else the number of classes."""

    ref: ArrayRef
    values: NDArray[Any]

    @classmethod
    def read(cls, ref: ArrayRef) -> "_Labels":
        if sum(size > 1 for size in ref.header.shape[1:]) > 1:
            raise S4miError(
                f"{ref.file}: {ref.name} {ref.header.shape} is taken for labels, but has the shape of masks; "
                f"name it with --masks {shlex.quote(ref.name)}, or leave it out with --labels ''"
            )
        values = stacks.read(ref.file, ref.key)
        values = values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8")
        if values.dtype.kind not in "biufU" or (values.shape[1] > 1 and not np.isin(values, (0, 1)).all()):
            raise S4miError(
                f"{ref.file}: {ref.name} {ref.header.shape} is neither one class per image nor 0 and 1 per class; "
                "choose another array with --labels KEY, or none with --labels ''"
            )
        return cls(ref, values)

    @property
    def columns(self) -> int:
        return int(self.values.shape[1])

    @property
    def one_each(self) -> bool:
        return self.columns == 1 or bool((self.values.astype(np.int64).sum(axis=1) == 1).all())

    def names_of(self, number: int, names: Sequence[str]) -> tuple[str, ...] | None:
        """Return the labels of an item; None for NaN, negative numbers and empty text."""
        values = self.values[number]
        if self.columns > 1:
            return tuple(name for name, value in zip(names, values, strict=True) if value)
        value = values[0]
        if values.dtype.kind == "U":
            return (normalised(str(value).strip()),) if str(value).strip() else None
        return None if value != value or value < 0 else (names[int(value)],)


def _class_names(labels: Sequence[_Labels | None], options: ArraysOptions, source: Path) -> tuple[str, ...]:
    """Return the names of all classes.

    Raises:
        S4miError: labels are not whole numbers, or there are more classes than names.
    """
    known = [one for one in labels if one is not None]
    if not known:
        return ()
    if known[0].values.dtype.kind == "U":
        classes = ",".join(options.classes)
        refuse_unused({"--classes": classes}, because="with labels that are names", hint="use --rename OLD=NEW")
        return tuple(sorted({normalised(str(v).strip()) for one in known for v in one.values[:, 0] if str(v).strip()}))
    columns = known[0].columns
    numbers = np.concatenate([one.values.ravel() for one in known]).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if (numbers % 1).any():
        raise S4miError(f"{source}: labels are not whole numbers (e.g. {numbers[numbers % 1 != 0][0]:g}); pass classes")
    count = columns if columns > 1 else int(max(numbers.max(initial=0), 0)) + 1
    names = options.classes or numbered_classes(count, source)
    if len(names) < count or (columns > 1 and len(names) != count):
        raise S4miError(
            f"{source}: has {count} classes but {plural(len(names), 'name')}; name each with --classes a,b,c"
        )
    return names


def _rows(
    stack: ArrayStack, labels: _Labels | None, names: Sequence[str], options: ArraysOptions
) -> list[tuple[Row, dict[Path, EmbeddedImage]]]:
    """Return one row per image, with the items of the arrays to extract."""
    shape = stack.images.header.shape
    if len(shape) not in (3, 4) or 0 in shape:
        raise S4miError(
            f"{stack.images.file}: {stack.images.name} has shape {shape}, not (N, H, W) or (N, H, W, C); choose "
            "another array with --images KEY"
        )
    for ref in (stack.masks, stack.labels, stack.groups):
        if ref is not None and (not ref.header.shape or ref.header.shape[0] != shape[0]):
            raise S4miError(
                f"{ref.file}: {ref.name} {ref.header.shape} and {stack.images.name} {shape} differ in length; export "
                "both again, or choose other arrays"
            )
    layers = _layers(stack, options)
    groups = None if stack.groups is None else stacks.read(stack.groups.file, stack.groups.key).reshape(shape[0], -1)
    limits = _limits(stack.images)
    rows = []
    for number in range(shape[0]):
        images: dict[Path, EmbeddedImage] = {}
        paths = {}
        for role, ref in (("images", stack.images), ("masks", stack.masks)):
            if ref is not None:
                path = ref.file / ref.key / f"{ref.file.stem}_{number:06d}.png"
                images[path] = EmbeddedImage(
                    ref.file, frame=number, member=ref.key, limits=limits if role == "images" else None,
                    layers=layers if role == "masks" else (),
                )  # fmt: skip
                paths[role] = path
        group = None if groups is None else normalised(_text(groups[number, 0])) or None
        of_image = None if labels is None else labels.names_of(number, names)
        rows.append((Row("", paths["images"], paths.get("masks"), of_image, group, stack.part, 0), images))
    return rows


def _refuse_unused(found: Sequence[ArrayStack], kinds: Collection[int], options: ArraysOptions) -> None:
    """Raise S4miError for options on labels or masks that the arrays do not have, or not in this form."""
    if not kinds:
        given = {"--classes": ",".join(options.classes), "--multilabel": options.multilabel}
        refuse_unused(given, because="without labels", hint="name their array with --labels KEY")
    elif kinds == {1}:
        refuse_unused(
            {"--multilabel": options.multilabel}, because="with one label per image",
            hint="choose an array with a column of 0 and 1 per class with --labels KEY",
        )  # fmt: skip
    if all(stack.masks is None for stack in found):
        given = {"--layers": ",".join(options.layers)}
        refuse_unused(given, because="without masks", hint="name their array with --masks KEY")


def _layers(stack: ArrayStack, options: ArraysOptions) -> tuple[str, ...]:
    """Return the names of the layers of masks (N, H, W, C); empty if masks hold numbers."""
    if stack.masks is None or len(stack.masks.header.shape) == 3:
        return ()
    shape = stack.masks.header.shape
    if len(shape) != 4:
        raise S4miError(f"{stack.masks.file}: {stack.masks.name} has shape {shape}, not (N, H, W) or (N, H, W, C)")
    if 1 in (shape[3], shape[1]) or (shape[3] == 3 and stack.masks.header.dtype == np.uint8 and not options.layers):
        return ()  # one layer of numbers, or colours
    if not options.layers:
        raise S4miError(
            f"{stack.masks.file}: {stack.masks.name} {shape} has one layer per class; name each with --layers A,B,…, "
            "'background' for a layer of the rest"
        )
    return options.layers


def _limits(ref: ArrayRef) -> tuple[float, float] | None:
    """Return the values of floating-point images that are black and white: 0 and 1, or 0 and 255, if all are inside."""
    if ref.header.dtype.kind != "f":
        return None
    low, high = np.inf, -np.inf
    for _, values in stacks.items(ref.file, ref.key, range(ref.header.shape[0])):
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if not low >= 0 or high > 255:
        return None
    return (0.0, 1.0) if high <= 1 else (0.0, 255.0)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8").strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _findings(found: Sequence[ArrayStack]) -> list[Finding]:
    if all(stack.groups is not None for stack in found):
        return []
    message = "no array of patients, so each image is taken for one; name it with --groups KEY if there is one"
    return [Finding("no-groups", "note", ".", None, message)]
