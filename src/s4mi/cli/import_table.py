"""`s4mi data import table`: import the images that a table lists."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from s4mi.cli.import_options import ABOUT, CLASSES, FILES, MASKS, ImportSettings, MaskFolders, Out
from s4mi.cli.mask_options import mask_options
from s4mi.cli.shared_options import offers

if TYPE_CHECKING:
    from s4mi.data.sources.table_options import Unknown

TableImages = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Folder of images, or a pattern such as 'images_*/images', relative to the table; by default images; "
        "repeatable.",
    ),
]


@offers(ImportSettings, "group_pattern", "split_list", "skip_missing", *CLASSES, *FILES, *MASKS, *ABOUT)
def table(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="Table (CSV, TSV, Parquet or Excel), folder with one table, or folder with one each in train/, val/, "
            "test/.",
        ),
    ],
    out: Out,
    image: Annotated[
        str | None, typer.Option("--image", metavar="COLUMN", help="Column of image files; by default image.")
    ] = None,
    mask: Annotated[
        str | None, typer.Option("--mask", metavar="COLUMN", help="Column of mask files; by default mask, if present.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="COLUMN", help="Column of classes; by default label, if present."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Column of patients or lesions; by default group, if present."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split-column",
            metavar="COLUMN",
            help="Column of the official split (train, val, test); by default split, if present.",
        ),
    ] = None,
    one_hot: Annotated[
        str,
        typer.Option(
            "--one-hot",
            metavar="COLUMN,...",
            help="Columns of 0 and 1, one per class, instead of --label; one column alone is a task of two classes.",
        ),
    ] = "",
    one_hot_prefix: Annotated[
        str, typer.Option("--one-hot-prefix", help="Prefix of one-hot columns that is not part of the class names.")
    ] = "",
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Allow several classes per image, even if no image has several.")
    ] = False,
    label_separator: Annotated[
        str | None,
        typer.Option(
            "--label-separator",
            metavar="TEXT",
            help="Separator of several classes in one cell; by default ';'; '' if each cell is one class.",
        ),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(
            "--negative",
            metavar="NAME",
            help="Label of images that show none of the classes, e.g. 'No Finding'; implies --multilabel; repeatable.",
        ),
    ] = None,
    blank: Annotated[
        str,
        typer.Option(
            "--blank",
            metavar="no|unknown",
            help="Meaning of blank cells in one-hot columns; unknown: not trained or scored for the class.",
        ),
    ] = "",
    uncertain: Annotated[
        str,
        typer.Option(
            "--uncertain",
            metavar="yes|no|unknown",
            help="Meaning of -1 in one-hot columns, as in CheXpert; unknown: not trained or scored for the class.",
        ),
    ] = "",
    join: Annotated[
        list[Path] | None,
        typer.Option("--join", metavar="TABLE", help="Further table whose columns are added to the rows; repeatable."),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="COLUMN[=COLUMN]",
            help="Column by which the rows of --join belong to those of SRC, if its name differs as OWN=JOINED; by "
            "default that of the image.",
        ),
    ] = "",
    encoding: Annotated[
        str,
        typer.Option(
            "--encoding",
            metavar="NAME",
            help="Encoding of CSV and TSV, such as windows-1252 (Excel in western Europe) or shift_jis; by default "
            "UTF-8, or UTF-16 with its mark.",
        ),
    ] = "",
    images: TableImages = None,
    masks: MaskFolders = None,
    *,
    shared: ImportSettings,
) -> None:
    """Import the images listed in a table, one row per image; pass '' as the name of a column to ignore it."""
    from s4mi.data.sources.read_table import known_encoding
    from s4mi.data.sources.table import read_tables
    from s4mi.data.sources.table_options import TableOptions
    from s4mi.data.sources.unused_options import refuse_unused

    if mask == "":
        refuse_unused(mask_options(shared), because="with --mask ''", hint="name the column of masks with --mask")
    if shared.split_list:
        refuse_unused({"--split-column": split}, because="with --split-list", hint="leave out the lists")
    options = TableOptions(
        image=image, mask=mask, label=label, group=group, split=split,
        one_hot=tuple(column.strip() for column in one_hot.split(",") if column.strip()),
        one_hot_prefix=one_hot_prefix, multilabel=multilabel, separator=label_separator,
        blank=_meaning("--blank", blank, ("no", "unknown")),
        uncertain=_meaning("--uncertain", uncertain, ("yes", "no", "unknown")),
        negatives=tuple(negative or ()), group_pattern=shared.group_pattern, images=tuple(images) if images else None,
        masks=tuple(masks) if masks else None, join=tuple(join or ()), join_on=on or None,
        encoding=known_encoding(encoding),
    )  # fmt: skip
    shared.write(read_tables(source, options), out)


def _meaning(option: str, given: str, known: Sequence[str]) -> "Unknown | None":
    from s4mi.errors import S4miError, nearest

    if given and given not in known:
        hint = nearest(given, known) or f"; use one of {', '.join(known)}"
        raise S4miError(f"{option} {given!r}: unknown meaning{hint}")
    return cast("Unknown", given) if given else None
