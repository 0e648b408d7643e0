"""Recognise the layout of a folder or table, and propose the command that imports it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from s4mi.data.formats import stacks
from s4mi.data.sources.arrays import ArraysOptions, read_arrays
from s4mi.data.sources.dermofit import is_dermofit, read_dermofit
from s4mi.data.sources.find_arrays import find_stacks, is_arrays
from s4mi.data.sources.isic2017 import is_isic2017, read_isic2017
from s4mi.data.sources.medmnist import is_medmnist, read_medmnist
from s4mi.data.sources.nnunet import SPLITS, NnunetOptions, is_nnunet, read_nnunet, separate_channels
from s4mi.data.sources.read_table import ENCODING, SourceTable, read_table
from s4mi.data.sources.split_lists import apply_split_lists
from s4mi.data.sources.suggest import TableChoice, choose_table, command_arguments, suggest_options, with_files
from s4mi.data.sources.suggest_files import suggest_lists
from s4mi.data.sources.suggest_folder import suggest_folder
from s4mi.data.sources.suggest_patient_table import suggest_patient_table
from s4mi.data.sources.table import find_tables, read_tables, tables_in
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import FoundDataset
from s4mi.data.spec import Finding, MaskKey
from s4mi.errors import S4miError

BACKGROUND = "background"
SAMPLED = 8


@dataclass(frozen=True)
class Proposal:
    """What an import would find, and its command.

    Attributes:
        command: its arguments, from `s4mi` on.
        mask_values: classes of the values of masks, if the source says so.
    """

    found: FoundDataset
    command: tuple[str, ...]
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)


def propose(path: Path) -> Proposal:
    """Return the import of a folder or table that its layout suggests.

    Raises:
        S4miError: it contains no images, or cannot be read as what it seems to be.
    """
    if is_dermofit(path):
        return _proposal(read_dermofit(path), "dermofit", path)
    if is_nnunet(path):
        return _nnunet(path)
    if is_medmnist(path):
        return _proposal(read_medmnist(path), "medmnist", path)
    if path.is_dir() and is_isic2017(path):
        return _proposal(read_isic2017(path), "isic2017", path)
    if is_arrays(path):
        return _arrays(path)
    tables = {} if path.is_dir() and len(tables_in(path)) > 1 and not _by_part(path) else find_tables(path)
    if not tables and path.is_dir() and (choice := choose_table(tables_in(path))) is not None:
        return _chosen(choice)
    if tables:
        first = tables.get("train") or next(iter(tables.values()))
        table = read_table(first, option=ENCODING)
        others = [read_table(other, option=ENCODING) for other in tables.values() if other != first]
        proposal = _table(path, with_files(table, suggest_options(table), others=others))
        of_patients = _of_patients(path, table) if len(tables) == 1 and not proposal.found.rows else None
        return of_patients or proposal
    found, kind, arguments = suggest_folder(path)
    return _proposal(found, kind, path, *arguments)


def _chosen(choice: TableChoice) -> Proposal:
    proposal = _table(choice.path, choice.options)
    note = Finding("several-tables", "warning", ".", None, choice.note)
    return replace(proposal, found=replace(proposal.found, findings=(note, *proposal.found.findings)))


def _of_patients(path: Path, table: SourceTable) -> Proposal | None:
    """Return the import of the images whose patients a table lists: from another table beside it, or from folders."""
    folder = path.parent if path.is_file() else path
    if path.is_file() and (choice := choose_table(tables_in(folder))) is not None:
        return _chosen(choice)
    suggested = suggest_patient_table(table, folder)
    if suggested is None:
        return None
    found, kind, arguments = suggested
    return _proposal(found, kind, folder, *arguments)


def _by_part(path: Path) -> bool:
    """Whether the tables in a folder are those of the parts of a split."""
    try:
        return len(find_tables(path)) > 1
    except S4miError:
        return False


def _proposal(found: FoundDataset, kind: str, path: Path, *arguments: str) -> Proposal:
    name = path.stem if path.is_file() else path.name
    return Proposal(found, ("s4mi", "data", "import", kind, str(path), "-o", f"datasets/{name}", *arguments))


def _table(path: Path, options: TableOptions) -> Proposal:
    found = read_tables(path, options)
    lists = suggest_lists(found.folder, [row.image for row in found.rows])
    arguments = [argument for name in lists for argument in ("--split-list", name)]
    found = apply_split_lists(found, lists)
    options = replace(options, split=None) if lists else options  # the lists replace the column
    return _proposal(found, "table", path, *command_arguments(options), *arguments)


def _nnunet(path: Path) -> Proposal:
    channels = ("0",) if separate_channels(path) else ()
    fold = 0 if (path / SPLITS).is_file() else None
    read = read_nnunet(path, NnunetOptions(channels=channels, fold=fold))
    arguments = [*(["--channel", "0"] if channels else []), *(["--fold", "0"] if fold is not None else [])]
    proposal = _proposal(read.found, "nnunet", path, *arguments)
    values: dict[MaskKey, str] = dict(read.mask_values.items())
    return replace(proposal, mask_values=values)


def _arrays(path: Path) -> Proposal:
    layers = _layers(path)
    found = read_arrays(path, ArraysOptions(layers=layers))
    values: dict[MaskKey, str] = dict(enumerate([BACKGROUND, *(name for name in layers if name != BACKGROUND)]))
    proposal = _proposal(found, "arrays", path, *(["--layers", ",".join(layers)] if layers else []))
    return replace(proposal, mask_values=values if layers else {})


def _layers(path: Path) -> tuple[str, ...]:
    """Return names for the layers of masks (N, H, W, C): that of the rest, if there is one, is background."""
    masks = [stack.masks for stack in find_stacks(path, {}) if stack.masks is not None]
    shape = masks[0].header.shape if masks else ()
    if len(shape) != 4 or shape[3] < (4 if masks[0].header.dtype == np.uint8 else 2):
        return ()
    count = shape[3]
    sample = range(min(SAMPLED, shape[0]))
    present = np.stack([values != 0 for _, values in stacks.items(masks[0].file, masks[0].key, sample)])
    # In a partition every layer is the rest of the others; background is the largest.
    rest = [layer for layer in range(count)
            if (present[..., layer] == ~np.delete(present, layer, axis=3).any(axis=3)).all()]  # fmt: skip
    background = max(rest, key=lambda layer: present[..., layer].sum(), default=None)
    return tuple(BACKGROUND if layer == background else f"class_{layer}" for layer in range(count))
