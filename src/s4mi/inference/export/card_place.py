"""Which card a model file has: no card of another model is taken, and each file is listed by the card of its model.

MODEL_CARD.md          of the first file in a folder, and of the same model in the other format
<name>.MODEL_CARD.md   where that is the card of another file; in both formats as well
<file>.MODEL_CARD.md   where the file of that name in the other format is another model: a.onnx.MODEL_CARD.md
"""

from collections.abc import Sequence
from pathlib import Path

from s4mi.errors import S4miError
from s4mi.inference.load import load_exported
from s4mi.inference.model_metadata import ENDINGS, ModelMetadata
from s4mi.records import RunRecord, write_text_atomically
from s4mi.reporting.writers.card_files import lists_file, without_file
from s4mi.reporting.writers.model_card import card_mark

CARD_NAME = "MODEL_CARD.md"


def card_of(file: Path, twin: Path | None) -> Path:
    """Return the card of the model in `file`, which need not exist yet; `twin`: see `same_in_other_format`."""
    other, same = _in_other_format(file), twin is not None
    mine = (file.name, *((other.name,) if same or not other.exists() else ()))
    shared, own, single = _cards(file)
    usable = [card for card in (shared, own, single) if not _others_on(card, mine)]
    for card in usable:
        if any(lists_file(_text(card), name) for name in mine):
            return card
    if other.exists() and not same:
        return shared if not shared.exists() else single
    if own in usable and (own.exists() or shared.exists()):
        return own
    return single if shared.exists() else shared


def check_card(card: Path, file: Path, twin: Path | None, record: RunRecord, *, overwrite: bool) -> None:
    """Raise `S4miError` if the card of another model would be overwritten: of another file, or of one that is gone."""
    others = _others_on(card, (file.name, *(() if twin is None else (twin.name,))))
    if others:
        raise S4miError(f"{card}: is the card of {others[0]}; choose another name")
    if not overwrite and card.exists() and _text(card).partition("\n")[0] != card_mark(record):
        raise S4miError(
            f"{card}: already exists and is not the card of this run; choose another name, or replace it with "
            "--overwrite"
        )


def same_in_other_format(file: Path, metadata: ModelMetadata) -> Path | None:
    """Return the file of the same name in the other format, if that is the same model; it is loaded."""
    other = _in_other_format(file)
    try:
        same = other.exists() and _model(load_exported(other).metadata) == _model(metadata)
    except S4miError:  # of other software, or a package is missing
        return None
    return other if same else None


def take_off_others(card: Path, files: Sequence[Path]) -> None:
    """Take files, which `card` lists now, off the other cards that list them; one that lists no other is removed."""
    names = tuple(file.name for file in files)
    for former in {former for file in files for former in _cards(file)} - {card}:
        for name in names:
            if lists_file(_text(former), name):
                left = _others_on(former, names)
                if left:
                    write_text_atomically(former, without_file(_text(former), name, left))
                else:
                    former.unlink()


def _in_other_format(file: Path) -> Path:
    """The file of the same name in the other format, which need not exist."""
    return next(other for other in map(file.with_suffix, ENDINGS) if other.suffix != file.suffix.lower())


def _model(metadata: ModelMetadata) -> ModelMetadata:
    """What makes a model: not the name of its folder, nor the version that exported it."""
    return metadata.model_copy(update={"version": "", "run": metadata.run.model_copy(update={"name": ""})})


def _cards(file: Path) -> tuple[Path, Path, Path]:
    """The names of a card, the preferred first."""
    return tuple(file.with_name(name) for name in (CARD_NAME, f"{file.stem}.{CARD_NAME}", f"{file.name}.{CARD_NAME}"))  # type: ignore[return-value]


def _others_on(card: Path, mine: tuple[str, ...]) -> list[str]:
    """Names of the files in the folder that a card lists and that are not `mine`."""
    text = _text(card)
    files = sorted(path.name for path in card.parent.glob("*") if path.suffix.lower() in ENDINGS) if text else []
    return [name for name in files if name not in mine and lists_file(text, name)]


def _text(card: Path) -> str:
    return card.read_text(encoding="utf-8", errors="replace") if card.exists() else ""
