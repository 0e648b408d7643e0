"""What a merge may do, and the classes and mask values that a data set gets by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from s4mi.data.annotations.rasterise import Rasteriser
from s4mi.data.annotations.types import Annotation
from s4mi.data.manifest import Row
from s4mi.data.sources.mask_naming import name_mask_values
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.spec import DatasetSpec, MaskKey
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind


@dataclass(frozen=True)
class MergeRules:
    """What a merge may do.

    Attributes:
        replace: put new labels and masks in the place of those that are there.
        held_out: also annotate images of the official validation and test parts.
        empty: of an image without a region, whose file lists it all the same, take everything for background.
        multilabel: where the data set has no classes yet, images may have any number of them.
        foreground: what masks with one value beside 0 show, where the data set has no masks yet.
        mask_values: what each pixel value shows, likewise, where there are several.
        new_classes: names that labels may have beside the data set's classes, which they then join.
    """

    replace: bool = False
    held_out: bool = False
    empty: bool = False
    multilabel: bool = False
    foreground: str = "foreground"
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    new_classes: tuple[str, ...] = ()


def complete_spec(spec: DatasetSpec, annotations: Sequence[Annotation], source: str, rules: MergeRules) -> DatasetSpec:
    """The description with the new classes, and with the first ones of a data set that has no classes or no masks.

    Args:
        source: the files of the annotations, for messages.

    Raises:
        S4miError: the first ones do not say what there is, or a new class is none.
    """
    changes: dict[str, object] = {}
    labels = [one.labels for one in annotations if one.labels is not None]
    said = {name for own in labels for name in own}
    if spec.classes:
        if rules.new_classes:
            changes |= {"classes": (*spec.classes, *_new_classes(spec, said, source, rules))}
    elif labels:
        several = any(len(own) != 1 for own in labels)
        kind: TaskKind = "multilabel" if rules.multilabel or several else "multiclass"
        changes |= {"classes": tuple(sorted({*said, *rules.new_classes})), "tasks": (kind, *spec.tasks)}
    if not spec.mask_values and (values := _first_mask_values(spec, annotations, rules)):
        changes |= {"mask_values": values}
    try:
        return DatasetSpec.model_validate({**spec.model_dump(), **changes}) if changes else spec
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise S4miError(f"{source}: {message}") from error


def with_tasks(spec: DatasetSpec, rows: Sequence[Row]) -> DatasetSpec:
    """Once there is a mask, the data set is one for segmentation too."""
    masked = "segmentation" in spec.tasks or not any(row.mask is not None for row in rows)
    return spec if masked else spec.model_copy(update={"tasks": (*spec.tasks, "segmentation")})


def _new_classes(spec: DatasetSpec, said: set[str], source: str, rules: MergeRules) -> tuple[str, ...]:
    """They come after the old ones, whose places in the answers of networks stay what they were."""
    for name in rules.new_classes:
        if name in spec.classes:
            raise S4miError(f"--new-class {name!r}: is a class of the data set already; leave it out")
        if name not in said:  # so that a slip of the pen makes no class
            hint = nearest(name, said.difference(spec.classes)) or "; leave it out, or mend its name"
            raise S4miError(f"--new-class {name!r}: no label in {source} is called so{hint}")
    return tuple(dict.fromkeys(rules.new_classes))


def _first_mask_values(spec: DatasetSpec, annotations: Sequence[Annotation], rules: MergeRules) -> dict[MaskKey, str]:
    """What the first masks or regions name; empty where there are none."""
    files = [one.mask for one in annotations if one.mask is not None]
    if files:
        naming = DatasetNaming(spec.name, foreground=rules.foreground, mask_values=rules.mask_values)
        return name_mask_values(Rasteriser.codes(files), naming=naming)
    shown = sorted({region.name for one in annotations for region in one.regions or ()})
    if not shown:
        return {}
    codes = [255] if len(shown) == 1 else range(1, len(shown) + 1)
    return {0: "background", **dict(zip(codes, shown, strict=True))}
