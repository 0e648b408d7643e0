"""Columns of a table are found by the files they name, and missing files by where they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.checks.check import check_path
from s4mi.data.sources.find_columns import columns_of_files
from s4mi.data.sources.read_table import read_table
from s4mi.data.sources.refuse import refuse_errors
from s4mi.data.sources.suggest import suggest_options
from s4mi.data.sources.table import read_tables
from s4mi.data.sources.table_options import TableOptions
from s4mi.errors import S4miError

CLINIC = (
    "Nr;Auge;Scan;Kontur;Diagnose;Patienten-ID;Besuch\n"
    "1;OD;a;a_GT;nevus;P1;Train\n2;OS;b;b_GT;melanoma;P1;Train\n3;OD;c;;nevus;P2;TEST\n4;OS;d;;melanoma;P3;Validation\n"
)


def picture(path: Path, seed: int, *, mask: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16), dtype=np.uint8)
    Image.fromarray(np.where(pixels > 99, 255, 0).astype(np.uint8) if mask else pixels).save(path)


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A folder whose table says only the names of images, one of which is in a folder below the others."""
    for seed, name in enumerate(("Bilder/a", "Bilder/b", "Bilder/spaeter/c", "Bilder/d")):
        picture(tmp_path / f"{name}.png", seed)
    for seed, name in enumerate("ab"):
        picture(tmp_path / "Konturen" / f"{name}_GT.png", seed, mask=True)
    (tmp_path / "befunde.csv").write_text(CLINIC)
    return tmp_path


def test_columns_are_found_by_the_files_that_they_name(clinic: Path) -> None:
    table = read_table(clinic / "befunde.csv")
    assert columns_of_files(table) == (("Scan",), ("Kontur",))
    options = suggest_options(table)
    assert (options.image, options.mask, options.label) == ("Scan", "Kontur", "Diagnose")
    assert (options.group, options.split) == ("Patienten-ID", "Besuch")


def test_the_proposed_command_has_the_folders_of_images_and_of_masks(clinic: Path) -> None:
    (report,) = check_path(clinic)
    assert report.command is not None
    assert report.command.endswith(
        "--image Scan --mask Kontur --label Diagnose --group Patienten-ID --split-column Besuch "
        "--images Bilder --images Bilder/spaeter --masks Konturen"
    )


def test_a_missing_column_of_images_names_the_one_that_lists_them(clinic: Path) -> None:
    with pytest.raises(S4miError, match=r"no column 'image' \(.*\); 'Scan' names images: use --image Scan"):
        read_tables(clinic)
    with pytest.raises(S4miError, match=r"'dx' for --label \(.*\); choose among these; 'Scan' names images"):
        read_tables(clinic, TableOptions(label="dx"))


def test_a_missing_file_is_named_with_the_folders_that_have_it(clinic: Path) -> None:
    options = TableOptions(image="Scan", mask="Kontur", label="Diagnose", images=("Bilder",))
    found = read_tables(clinic, options)
    messages = {(finding.code, finding.line): finding.message for finding in found.findings}
    assert "use --images Bilder --images Bilder/spaeter, or use --skip-missing" in messages["missing-image", 4]
    assert "use --masks Konturen, or use --skip-missing" in messages["missing-mask", 2]
    with pytest.raises(S4miError, match=r"\(and 2 more errors\)$"):
        refuse_errors(found)
    (clinic / "Bilder" / "spaeter" / "c.png").unlink()
    (missing,) = read_tables(clinic, TableOptions(image="Scan", label="", images=("Bilder",))).findings
    assert "; set its folder with --images" in missing.message


@pytest.mark.parametrize("cells", [("OD", "OS"), ("links", "rechts"), ("M", "F")])
def test_sides_and_sexes_are_not_proposed_as_classes(tmp_path: Path, cells: tuple[str, str]) -> None:
    rows = "".join(f"{number}.png,{cells[number % 2]},{'xy'[number // 2]}\n" for number in range(4))
    (tmp_path / "t.csv").write_text(f"image,kind,what\n{rows}")
    assert suggest_options(read_table(tmp_path / "t.csv")).label == "what"


def test_a_usual_name_wins_among_columns_that_name_images(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png", number)
    (tmp_path / "t.csv").write_text("id,image,file\n0,0.png,x.pdf\n1,1.png,y.pdf\n2,2.png,z.pdf\n")
    assert suggest_options(read_table(tmp_path / "t.csv")).image == "image"
    (tmp_path / "t.csv").write_text("id,file\n0,x.pdf\n1,y.pdf\n2,z.pdf\n")
    assert suggest_options(read_table(tmp_path / "t.csv")).image == "id"


def test_folders_of_parts_that_the_table_does_not_name_are_reported(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "train", "Test")):
        picture(tmp_path / part / f"{number}.png", number)
    (tmp_path / "t.csv").write_text("image,label\n0,a\n1,b\n2,a\n")
    options = TableOptions(images=("train", "Test"))
    (finding,) = read_tables(tmp_path, options).findings
    assert (finding.code, finding.severity) == ("folders-of-parts", "warning")
    assert "folders of the parts train, test" in finding.message
    assert not read_tables(tmp_path, replace(options, split="")).findings
    (tmp_path / "t.csv").write_text("image,label,split\n0,a,train\n1,b,train\n2,a,test\n")
    assert not read_tables(tmp_path, options).findings
