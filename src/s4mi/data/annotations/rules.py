"""Rules of a merge, and the classes and mask values that a data set gains by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from s4mi.data.annotations.rasterise import Rasteriser
from s4mi.data.annotations.types import Annotation
from s4mi.data.row import Row
from s4mi.data.sources.mask_naming import BACKGROUND, name_mask_values, scan_masks
from s4mi.data.sources.mask_value_places import describe_values
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.spec import DatasetSpec, MaskKey
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind

FOREGROUND = "foreground"
"""Class of the only value beside 0 in the first masks of a data set, unless it is named."""


@dataclass(frozen=True)
class MergeRules:
    """Rules of a merge.

    Attributes:
        replace: replace existing labels and masks by new ones.
        held_out: also annotate images of the official validation and test parts.
        empty: treat images listed without regions as background only.
        multilabel: allow any number of classes per image, if the data set has no classes yet.
        foreground: class of the only value beside 0 in masks, if the data set has no masks yet.
        mask_values: class of each pixel value of masks with several, if the data set has no masks yet.
        new_classes: additional label names that become classes of the data set.
    """

    replace: bool = False
    held_out: bool = False
    empty: bool = False
    multilabel: bool = False
    foreground: str = FOREGROUND
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    new_classes: tuple[str, ...] = ()


def complete_spec(spec: DatasetSpec, annotations: Sequence[Annotation], source: str, rules: MergeRules) -> DatasetSpec:
    """Add the new classes to a specification, or the first classes and mask values if it has none.

    Args:
        source: files of the annotations, for messages.

    Raises:
        S4miError: the first annotations do not determine classes or mask values, a new class is invalid, or the rules
            name values of masks otherwise than the data set.
    """
    _check_mask_names(spec, rules)
    changes: dict[str, object] = {}
    labels = [annotation.labels for annotation in annotations if annotation.labels is not None]
    names = {name for image_labels in labels for name in image_labels}
    if spec.classes:
        if rules.new_classes:
            changes |= {"classes": (*spec.classes, *_new_classes(spec, names, source, rules))}
    elif labels:
        several = any(len(image_labels) != 1 for image_labels in labels)
        kind: TaskKind = "multilabel" if rules.multilabel or several else "multiclass"
        changes |= {"classes": tuple(sorted({*names, *rules.new_classes})), "tasks": (kind, *spec.tasks)}
    if not spec.mask_values and (values := _first_mask_values(spec, annotations, rules)):
        changes |= {"mask_values": values}
    try:
        return DatasetSpec.model_validate({**spec.model_dump(), **changes}) if changes else spec
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise S4miError(f"{source}: {message}") from error


def with_tasks(spec: DatasetSpec, rows: Sequence[Row]) -> DatasetSpec:
    """Add the task segmentation to a specification if any row has a mask."""
    if "segmentation" in spec.tasks or not any(row.mask is not None for row in rows):
        return spec
    return spec.model_copy(update={"tasks": (*spec.tasks, "segmentation")})


def _check_mask_names(spec: DatasetSpec, rules: MergeRules) -> None:
    """Refuse names for the values of masks that the data set reads otherwise."""
    if not spec.mask_values:
        return
    known = ", ".join(f"{value} {name}" for value, name in spec.mask_values.items())
    for value, name in rules.mask_values.items():
        if spec.mask_values.get(value) != name:
            raise S4miError(
                f"--mask-value {value}={name}: the data set has names for the values of masks ({known}), by which "
                "new ones are read; leave it out, and write the masks with these values"
            )
    if rules.foreground not in (FOREGROUND, *spec.mask_classes[1:]):
        raise S4miError(
            f"--foreground {rules.foreground!r}: the data set has names for the values of masks ({known}); leave it out"
        )


def _new_classes(spec: DatasetSpec, names: set[str], source: str, rules: MergeRules) -> tuple[str, ...]:
    """Check the new classes, which come last so that the output indices of existing classes stay the same."""
    for name in rules.new_classes:
        if name in spec.classes:
            raise S4miError(f"--new-class {name!r}: already a class of the data set; remove the option")
        if name not in names:  # so that a typing error does not create a class
            hint = nearest(name, names.difference(spec.classes)) or "; remove the option, or correct the name"
            raise S4miError(f"--new-class {name!r}: no such label in {source}{hint}")
    return tuple(dict.fromkeys(rules.new_classes))


def _first_mask_values(spec: DatasetSpec, annotations: Sequence[Annotation], rules: MergeRules) -> dict[MaskKey, str]:
    """Return the mask values of the first masks or regions, or an empty mapping if there are none."""
    files = [annotation.mask for annotation in annotations if annotation.mask is not None]
    if files:
        naming = DatasetNaming(spec.name, foreground=rules.foreground, mask_values=rules.mask_values)
        return name_mask_values(
            Rasteriser.codes(files),
            naming=naming,
            where=lambda values: describe_values(values, scan_masks(files).of_file),
        )
    classes = sorted({region.name for one in annotations for region in one.regions or ()} - {BACKGROUND})
    if not classes:
        return {}
    codes = [255] if len(classes) == 1 else range(1, len(classes) + 1)
    return {0: BACKGROUND, **dict(zip(codes, classes, strict=True))}
