from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s4mi.cli.data import app
from s4mi.data.manifest import load_manifest
from s4mi.data.spec import Finding
from s4mi.errors import S4miError
from s4mi.inference import near_duplicates as module
from s4mi.inference.near_duplicates import NearDuplicateSearch, embed, find_near_duplicates

TINY = NearDuplicateSearch("tiny_resnet", weights="none", size=48, distance=1e-4)


def silent(done: int, of: int) -> None:
    pass


def with_mirrored_copy(lesions: Path, folder: Path) -> Path:
    """The synthetic lesions, and a mirrored copy of the first with another patient id."""
    data = load_manifest(lesions)
    (folder / "images").mkdir(parents=True)
    lines = ["image,label,group"]
    for row in data.rows[:12]:
        Image.open(row.image).save(folder / "images" / row.image.name)
        lines.append(f"images/{row.image.name},{';'.join(row.labels or ())},{row.id}")
    mirrored = np.asarray(Image.open(data.rows[0].image))[:, ::-1]
    Image.fromarray(mirrored).save(folder / "images" / "copy.png")
    lines.append(f"images/copy.png,{';'.join(data.rows[0].labels or ())},another")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    names = ", ".join(data.spec.classes)
    (folder / "dataset.yaml").write_text(f"name: copies\ntasks: [multiclass]\nclasses: [{names}]\n")
    return folder


def test_pairs_equal_those_of_a_naive_comparison(lesions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    data = load_manifest(lesions)
    features, rows = embed(data, TINY, progress=silent)
    assert rows == list(range(60))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(60))
    naive = [
        (i, j)
        for i in range(60)
        for j in range(i + 1, 60)
        if float(1 - features[i].double() @ features[j].double()) <= 0.002
    ]
    assert 0 < len(naive) < 1000
    for block in (7, 2048):
        monkeypatch.setattr(module, "COMPARED", block)
        found = [(first, second) for first, second, _ in module._close_pairs(features, 0.002)]
        assert len(set(found) ^ set(naive)) <= 2  # rounding at the threshold


def test_a_mirrored_copy_of_another_patient_is_reported_with_both_lines(lesions: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = with_mirrored_copy(lesions, tmp_path / "set")
    data = load_manifest(folder)
    features, _ = embed(data, TINY, progress=silent)
    distance = 1 - float(features[0] @ features[12])
    torch.manual_seed(0)
    near = NearDuplicateSearch("tiny_resnet", weights="none", size=48, distance=distance + 1e-6)
    (finding,) = [one for one in find_near_duplicates(folder, near, progress=silent) if one.rows == (14, 2)]
    assert (finding.code, finding.severity, finding.line) == ("similar-image", "warning", 14)
    assert "which is from another patient; inspect both" in finding.message
    torch.manual_seed(0)
    known = [Finding("near-duplicate", "warning", "manifest.csv", 14, "x; y", rows=(14, 2))]
    assert all(one.rows != (14, 2) for one in find_near_duplicates(folder, near, known=known, progress=silent))


def test_the_command_reports_near_duplicates(lesions: Path, tmp_path: Path) -> None:
    folder = with_mirrored_copy(lesions, tmp_path / "set")
    words = ["check", str(folder), "--embeddings", "tiny_resnet", "--weights", "none", "--distance", "1"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "similar-image" not in CliRunner().invoke(app, ["check", str(folder), "--json"]).stdout
    assert result.exit_code == 0
    assert "(distance 0." in result.stdout


def test_a_plain_folder_and_an_unknown_network_are_one_line(lesions: Path, tmp_path: Path) -> None:
    with pytest.raises(S4miError, match="is unknown; did you mean 'resnet18'"):
        find_near_duplicates(lesions, NearDuplicateSearch("resnet_18", weights="none"), progress=silent)
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(S4miError, match="import it first"):
        CliRunner().invoke(app, ["check", str(tmp_path), "--embeddings", "tiny_resnet"], catch_exceptions=False)
