import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli.console import SHOWN
from s4mi.cli.data import app
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def image(path: Path, seed: int = 0, *, inside: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels if inside is None else np.where(pixels[:, :, 0] > 99, inside, 0).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for number in range(6):
        image(tmp_path / "photos" / ("melanoma" if number % 3 else "naevus") / f"p{number // 2}_{number}.png", number)
    return tmp_path / "photos"


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    for number in range(3):
        image(tmp_path / "cells" / "images" / f"{number}.png", number)
        image(tmp_path / "cells" / "masks" / f"{number}.png", number, inside=number + 1)
    return tmp_path / "cells"


def test_a_sound_data_set_ends_with_status_zero(classes: Path, tmp_path: Path) -> None:
    assert run("import", "folder", classes, "-o", tmp_path / "out").exit_code == 0
    result = run("check", tmp_path / "out", "--strict")
    assert result.exit_code == 0
    assert "melanoma 4, naevus 2" in result.stdout
    assert "no errors, no warnings" in result.stdout


def test_an_error_ends_with_status_one_and_a_warning_only_when_strict(classes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("import", "folder", classes, "-o", out)
    image(classes / "naevus" / "late.png", 77)
    assert run("check", out).exit_code == 0
    strict = run("check", out, "--strict")
    assert strict.exit_code == 1
    assert "1 unlisted file" in strict.stdout
    (classes / "naevus" / "p0_0.png").write_bytes(b"")
    assert run("check", out).exit_code == 1


def test_messages_are_whole_on_one_line_at_eighty_columns(tmp_path: Path) -> None:
    long = "a_rather_long_name_of_a_file_from_a_device_that_writes_everything_into_its_names"
    image(tmp_path / "data" / f"{long}.png")
    (tmp_path / "data" / "dataset.yaml").write_text("name: x\ntasks: []\n")
    (tmp_path / "data" / "manifest.csv").write_text(f"image,mask\n{long}.png,[red]{long}.png\n")
    lines = run("check", tmp_path / "data").stdout.splitlines()
    wanted = f"error: manifest.csv:2: mask '[red]{long}.png' does not exist in {(tmp_path / 'data').resolve()}; "
    assert [line for line in lines if line.startswith(wanted) and line.endswith("empty the cell if there is no mask")]


def test_json_is_a_single_document(classes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("import", "folder", classes, "-o", out)
    (classes / "naevus" / "p0_0.png").write_bytes(b"")
    result = run("check", out, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["errors"], document["warnings"]) == (1, 1, 0)
    (report,) = document["reports"]
    assert report["summary"]["classes"] == {"melanoma": 4, "naevus": 2}
    (finding,) = report["findings"]
    lines = (out / "manifest.csv").read_text().splitlines()
    assert "p0_0.png" in lines[finding["line"] - 1]
    assert finding == {
        "code": "empty-file",
        "severity": "error",
        "file": "manifest.csv",
        "line": finding["line"],
        "message": "image 'naevus/p0_0.png' is an empty file (0 bytes); copy it again from its source",
        "rows": [finding["line"]],
    }


def test_findings_of_several_data_sets_name_their_folder(classes: Path, masked: Path, tmp_path: Path) -> None:
    run("import", "folder", classes, "-o", tmp_path / "sets" / "one")
    run("import", "folder", classes, "-o", tmp_path / "sets" / "two")
    (classes / "naevus" / "p0_0.png").write_bytes(b"")
    output = run("check", tmp_path / "sets").stdout
    assert "error: one/manifest.csv:" in output
    assert "error: two/manifest.csv:" in output
    assert "2 errors" in output


def test_many_findings_of_one_kind_are_truncated_and_counted(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text("name: x\ntasks: []\n")
    (tmp_path / "manifest.csv").write_text("image\n" + "".join(f"{n}.png\n" for n in range(SHOWN + 7)))
    output = run("check", tmp_path).stdout
    assert output.count("error: ") == SHOWN
    assert "… and 7 more of the kind missing-image" in output
    assert f"{SHOWN + 7} errors" in output


def test_the_suggested_command_makes_a_data_set_that_passes(masked: Path, tmp_path: Path) -> None:
    command = next(line for line in run("check", masked).stdout.splitlines() if line.startswith("  s4mi "))
    words = shlex.split(command)
    assert words[:2] == ["s4mi", "data"]
    words[words.index("-o") + 1] = str(tmp_path / "out")
    assert run(*words[2:]).exit_code == 0
    assert load_manifest(tmp_path / "out").spec.mask_classes == ("background", "class_1", "class_2", "class_3")
    assert run("check", tmp_path / "out", "--strict").exit_code == 0


def test_an_import_prints_a_summary_and_the_command_to_check_it(classes: Path, tmp_path: Path) -> None:
    result = run(
        "import", "folder", classes, "-o", tmp_path / "out", "--group-pattern", r"^(p\d+)_",
        "--name", "moles", "--source", "a clinic", "--licence", "CC0-1.0", "--copy",
    )  # fmt: skip
    assert result.exit_code == 0
    for words in ("images", "6, copied", "multiclass", "melanoma 4, naevus 2", "patients", "3"):
        assert words in result.stdout
    assert f"s4mi data check {tmp_path / 'out'}" in result.stdout.splitlines()[-1]
    spec = load_manifest(tmp_path / "out").spec
    assert (spec.name, spec.source, spec.licence) == ("moles", "a clinic", "CC0-1.0")


def test_mask_values_are_named_on_the_command_line(masked: Path, tmp_path: Path) -> None:
    values = ["--mask-value", "0=background", "--mask-value", "1=nucleus", "--mask-value", "2=nucleus"]
    result = run("import", "folder", masked, "-o", tmp_path / "out", *values)
    assert isinstance(result.exception, S4miError)
    assert "add --mask-value 3=NAME" in str(result.exception)
    assert run("import", "folder", masked, "-o", tmp_path / "out", *values, "--mask-value", "3=ignore").exit_code == 0
    assert load_manifest(tmp_path / "out").spec.mask_classes == ("background", "nucleus")
    result = run("import", "folder", masked, "-o", tmp_path / "other", "--mask-value", "nucleus")
    assert isinstance(result.exception, S4miError)
    assert "VALUE=NAME" in str(result.exception)


def test_a_table_is_imported_with_its_columns_named(tmp_path: Path) -> None:
    lines = ["file,eye_N,eye_D,patient"]
    for number in range(4):
        image(tmp_path / "eyes" / "images" / f"{number}.png", number)
        lines.append(f"{number}.png,{number % 2},{int(number > 1)},{number // 2}")
    (tmp_path / "eyes" / "labels.csv").write_text("\n".join(lines) + "\n")
    result = run(
        "import", "table", tmp_path / "eyes", "-o", tmp_path / "out", "--image", "file",
        "--one-hot", "eye_N, eye_D", "--one-hot-prefix", "eye_", "--group", "patient",
    )  # fmt: skip
    assert result.exit_code == 0
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.tasks == ("multilabel",)
    assert [row.labels for row in manifest.rows] == [(), ("N",), ("D",), ("N", "D")]
    assert [row.group for row in manifest.rows] == ["0", "0", "1", "1"]


def test_isic2017_records_its_origin_and_licence(tmp_path: Path) -> None:
    image(tmp_path / "isic" / "ISIC-2017_Training_Data" / "ISIC_0000000.jpg")
    result = run("import", "isic2017", tmp_path / "isic", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "warning: ISIC-2017_Training_Part3_GroundTruth.csv: does not exist" in result.stdout
    spec = load_manifest(tmp_path / "out").spec
    assert (spec.name, spec.licence) == ("isic2017", "CC0-1.0")
    assert "ISIC Challenge 2017" in spec.source


def test_every_command_has_a_help_page() -> None:
    sources = ("folder", "table", "pairs", "isic2017", "dermofit", "dermatomyositis", "medmnist")
    for words in (["check"], ["split"], ["import"], *(["import", source] for source in sources)):
        assert run(*words, "--help").exit_code == 0


@pytest.mark.real
@pytest.mark.skipif("S4MI_DATA" not in os.environ, reason="S4MI_DATA names no folder of real images")
@pytest.mark.parametrize("name", ["ph2", "nuclei"])
def test_real_images_import_and_check_without_an_error(name: str, tmp_path: Path) -> None:
    column = ["--label", "diagnosis"] if name == "ph2" else []
    source = Path(os.environ["S4MI_DATA"]) / name
    assert run("import", "table", source, "-o", tmp_path / name, *column).exit_code == 0
    assert run("check", tmp_path / name).exit_code == 0


def test_ctrl_c_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from s4mi import cli
    from s4mi.data.checks import check as module

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "check_path", interrupted)
    monkeypatch.setattr("sys.argv", ["s4mi", "data", "check", "somewhere"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 130
    assert capsys.readouterr().err == "interrupted; finished work is kept\n"
