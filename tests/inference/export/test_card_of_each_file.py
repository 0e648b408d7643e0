"""Each exported file has a card of its own, and none is overwritten by the export of another."""

from pathlib import Path

import pytest

from made_records import record
from s4mi.errors import S4miError
from s4mi.inference.export.model_card import card_of, check_card
from s4mi.records import RunRecord
from s4mi.reporting.writers.model_card import CardSource, ModelFile, card_text

ONE, OTHER = record(0.6), record(0.7, seed=1)


def exported(file: Path, run: RunRecord = ONE, *, overwrite: bool = False) -> Path:
    """Do what an export does with cards, and return the card."""
    card = card_of(file)
    check_card(card, run, overwrite=overwrite)
    file.touch()
    files = [file, *(other for other in file.parent.glob(f"{file.stem}.*") if other.suffix in (".onnx", ".pt2"))]
    listed = [ModelFile(name, 1.0, "the same", "import x") for name in dict.fromkeys(one.name for one in files)]
    card.write_text(card_text(CardSource(record=run, files=listed, settings={}, inputs=[], calibration=None)))
    return card


def test_one_file_has_the_card_of_the_folder_and_each_other_one_of_its_name(tmp_path: Path) -> None:
    cards = [exported(tmp_path / name, run) for name, run in (("a.onnx", ONE), ("b.onnx", OTHER), ("c d.pt2", ONE))]
    assert [card.name for card in cards] == ["MODEL_CARD.md", "b.MODEL_CARD.md", "c d.MODEL_CARD.md"]
    for name, card in zip(("a.onnx", "b.onnx", "c d.pt2"), cards, strict=True):
        assert f"| `{name}` |" in card.read_text()
        assert card_of(tmp_path / name) == card  # also when it is exported again


def test_both_formats_of_a_model_share_a_card(tmp_path: Path) -> None:
    for first, second in (("a.onnx", "a.pt2"), ("b|`.pt2", "b|`.onnx")):
        card = exported(tmp_path / first)
        assert exported(tmp_path / second) == card
        assert card.read_text().count(" | the same |") == 2
    assert {path.name for path in tmp_path.glob("*.md")} == {"MODEL_CARD.md", "b|`.MODEL_CARD.md"}


def test_the_card_of_another_model_under_the_name_is_replaced_only_if_asked(tmp_path: Path) -> None:
    card = exported(tmp_path / "a.onnx")
    before = card.read_text()
    with pytest.raises(S4miError, match=r"MODEL_CARD\.md: already exists and is not the card of this run"):
        exported(tmp_path / "a.pt2", OTHER)
    assert card.read_text() == before
    assert exported(tmp_path / "a.onnx", OTHER, overwrite=True) == card
    assert card.read_text() != before


@pytest.mark.parametrize("words", ["", "# My own words\n", "Mine: `a.onnx`\n| `a.onnx` | 1 MB |\n"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_card_stays(tmp_path: Path, words: str, overwrite: bool) -> None:
    (tmp_path / "MODEL_CARD.md").write_text(words)
    assert exported(tmp_path / "a.onnx", overwrite=overwrite).name == "a.MODEL_CARD.md"
    assert (tmp_path / "MODEL_CARD.md").read_text() == words
