from pathlib import Path

from s4mi.data.files import decoding_revision, distinctly_decoded, suffix_of


def revisions(files: list[Path]) -> set[tuple[str, int]]:
    return {(suffix_of(file), decoding_revision(file)) for file in files}


def test_one_file_of_each_extension_stands_for_all_that_are_decoded_alike(tmp_path: Path) -> None:
    for name in ("plain", "1.2.3"):
        (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "other").write_bytes(b"no image")
    names = ["a.png", "b.png", "c.PNG", "d.tif", "e.tif", "f.nii.gz", "g.gz", "plain", "other", "1.2.3", "x.3"]
    files = [tmp_path / name for name in names]
    chosen = distinctly_decoded(files)
    assert [file.name for file in chosen] == ["a.png", "d.tif", "f.nii.gz", "g.gz", "plain", "other", "1.2.3", "x.3"]
    assert revisions(chosen) == revisions(files)
    assert {revision for suffix, revision in revisions(chosen) if suffix in {"", ".3"}} == {
        0,
        decoding_revision(Path("a.dcm")),
    }
