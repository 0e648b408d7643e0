"""Options of the import of a table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TableOptions:
    """Columns of a table; None: the column with the default name, if any; `''`: no column.

    Attributes:
        one_hot: columns of 0 and 1, one per class, instead of `label`; one column alone is a task of two classes.
        one_hot_prefix: prefix of these columns that is not part of the class names.
        multilabel: whether an image may show any number of classes, even if none in the table shows several.
        separator: what separates several names in `label`; `''`: nothing, None: `;`, but cells that seem to be
            separated by something else are an error.
        negatives: names in `label` for an image that shows none of the classes.
        group_pattern: regular expression whose group 1 is the patient, searched in the cell of the image.
        images, masks: folders to search for the files, relative to the folder of the table, which is searched last.
    """

    image: str | None = None
    mask: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    one_hot: tuple[str, ...] = ()
    one_hot_prefix: str = ""
    multilabel: bool = False
    separator: str | None = None
    negatives: tuple[str, ...] = ()
    group_pattern: str = ""
    images: str = "images"
    masks: str = "masks"
