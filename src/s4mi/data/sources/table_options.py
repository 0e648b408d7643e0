"""Options of the import of a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Unknown = Literal["yes", "no", "unknown"]
"""What a blank or uncertain cell of a class means; an image is neither trained nor scored on a class that is
unknown."""


@dataclass(frozen=True)
class TableOptions:
    """Columns of a table; None: the column with the default name, if any; `''`: no column.

    Attributes:
        one_hot: columns of 0 and 1, one per class, instead of `label`; one column alone is a task of two classes.
        one_hot_prefix: prefix of these columns that is not part of the class names.
        multilabel: whether an image may show any number of classes, even if none in the table shows several.
        blank: meaning of an empty cell of a one-hot column in a row with other entries; None: an error.
        uncertain: meaning of -1 in a one-hot column; None: an error.
        separator: what separates several names in `label`; `''`: nothing, None: `;`, but cells that seem to be
            separated by something else are an error.
        negatives: names in `label` for an image that shows none of the classes.
        group_pattern: regular expression whose group 1 is the patient, searched in the cell of the image.
        images, masks: folders to search for the files, relative to the folder of the table, which is searched last;
            None: `images` and `masks`, if they exist.
        encoding: of tables in text that are neither in UTF-8 nor in UTF-16 with a byte order mark.
        join: further tables, whose columns are added to the rows.
        join_on: column that the tables have in common; None: the column of the image.
    """

    image: str | None = None
    mask: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    one_hot: tuple[str, ...] = ()
    one_hot_prefix: str = ""
    multilabel: bool = False
    blank: Unknown | None = None
    uncertain: Unknown | None = None
    separator: str | None = None
    negatives: tuple[str, ...] = ()
    group_pattern: str = ""
    images: tuple[str, ...] | None = None
    masks: tuple[str, ...] | None = None
    encoding: str = ""
    join: tuple[Path, ...] = ()
    join_on: str | None = None
