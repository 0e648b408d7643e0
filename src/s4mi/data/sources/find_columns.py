"""Find the columns of a table that name image files, by looking for these files, whatever the columns are called."""

from collections.abc import Set as AbstractSet
from pathlib import Path

from s4mi.data.files import stem_of
from s4mi.data.sources.read_table import SourceTable
from s4mi.data.sources.suggest_files import in_mask_folder
from s4mi.data.walk import image_files

SAMPLED = 200
MIN_FOUND = 0.5
"""A column names files if this share of its cells, of those that are filled, does."""


def columns_of_files(table: SourceTable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that name images below the folder of the table, and those that name files in mask folders.

    Cells may have a folder, an extension, both or neither. The column with the largest share of files comes first.
    """
    folder = table.path.parent
    images, masks = set[str](), set[str]()
    for file in image_files(folder):
        (masks if in_mask_folder(file, folder) else images).update((file.name, stem_of(file)))
    return _naming(table, images), _naming(table, masks - images)


def _naming(table: SourceTable, names: AbstractSet[str]) -> tuple[str, ...]:
    shares: dict[str, float] = {}
    for column in table.columns:
        cells = [record.cells[column] for record in table.records if record.cells[column]]
        sampled = cells[:: max(1, len(cells) // SAMPLED)]
        found = sum(Path(cell.replace("\\", "/")).name in names for cell in sampled)
        if sampled and found >= MIN_FOUND * len(sampled):
            shares[column] = found / len(sampled)
    return tuple(sorted(shares, key=lambda column: -shares[column]))
