"""Images are found again by the names that annotation tools give them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s4mi.data.annotations.label_studio import read_label_studio, write_label_studio
from s4mi.data.annotations.match_rows import RowFinder, UnknownImageError
from s4mi.data.annotations.merge import plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.annotations.types import PreAnnotation
from s4mi.data.manifest import Manifest

HEIGHT, WIDTH = 64, 96

NAMES = ["benign (1).png", "a b.png", "a+b.png", "50 %.png", "u#4.png", "u&5.png", "ü6.png", "x.y-z.png", " lead.png"]
CLEANED = ["benign_1.png", "a_b.png", "ab.png", "50_.png", "u4.png", "u5.png", "ü6.png", "x.y-z.png", "_lead.png"]
ENDINGS = ("images/", "/data/upload/3/", "")


def server_name(name: str, prefix: str = "9c4ad5bf") -> str:
    """The name that Label Studio stores: what Django's `get_valid_filename` makes of prefix and name."""
    return re.sub(r"(?u)[^-\w.]", "", f"{prefix}-{name}".strip().replace(" ", "_"))


@pytest.fixture
def named(plain_images: Callable[..., Manifest]) -> Manifest:
    return plain_images(*NAMES)


def coco(folder: Path, name: str) -> Path:
    square = [8, 8, 20, 8, 20, 20, 8, 20]
    contents = {
        "images": [{"id": 1, "file_name": name, "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 1, "name": "box"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [square]}],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(contents))
    return path


def studio(folder: Path, address: str) -> Path:
    box = {"x": 0, "y": 0, "width": 25, "height": 25, "rectanglelabels": ["box"]}
    result = {"type": "rectanglelabels", "original_width": WIDTH, "original_height": HEIGHT, "value": box}
    path = folder / "studio.json"
    path.write_text(json.dumps([{"data": {"image": address}, "annotations": [{"result": [result]}]}]))
    return path


@pytest.mark.parametrize("before", ENDINGS)
@pytest.mark.parametrize(("number", "cleaned"), enumerate(CLEANED), ids=CLEANED)
def test_annotation_7_uploaded_names_are_matched(
    named: Manifest, tmp_path: Path, number: int, cleaned: str, before: str
) -> None:
    assert server_name(NAMES[number]) == f"9c4ad5bf-{cleaned}"
    for path in (coco(tmp_path, f"{before}9c4ad5bf-{cleaned}"), studio(tmp_path, f"{before}9c4ad5bf-{cleaned}")):
        plan = plan_merge(named, {path: read_annotations(path)}, MergeRules())
        assert (plan.errors, list(plan.masks)) == ([], [number])


@pytest.mark.parametrize("names", [("a+b.png", "ab.png"), ("ab.png", "a(b).png"), ("a b.png", "a_b.png")])
def test_annotation_7_names_that_cleaning_makes_equal_are_refused(
    plain_images: Callable[..., Manifest], names: tuple[str, ...]
) -> None:
    finder = RowFinder(plain_images(*names))
    for name in names:
        with pytest.raises(UnknownImageError, match=r"is ambiguous, 2 match .*; use the id"):
            finder.find([f"/data/upload/3/{server_name(name)}"])


def test_annotation_7_a_name_that_only_looks_like_an_upload_comes_first(
    plain_images: Callable[..., Manifest],
) -> None:
    finder = RowFinder(plain_images("a.png", "00000001-a.png"))
    assert finder.find(["images/00000001-a.png"]) == 1
    assert finder.find(["images/00000002-a.png"]) == 0
    with pytest.raises(UnknownImageError, match="not found"):
        finder.find(["patient1-a.png"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(prefix=st.integers(0, 16**8 - 1), number=st.integers(0, len(NAMES) - 1))
def test_annotation_7_any_prefix_is_taken_off(named: Manifest, prefix: int, number: int) -> None:
    assert RowFinder(named).find([server_name(NAMES[number], f"{prefix:08x}")]) == number


def tasks(manifest: Manifest, path: Path, root: Path | None, paths: list[str]) -> list[Any]:
    one = [
        PreAnnotation(row.id, path, (HEIGHT, WIDTH), ("a", "b"), 0.5, labels=("a",))
        for row, path in zip(manifest.rows, paths, strict=True)
    ]
    write_label_studio(one, path, rle=False, multilabel=False, root=root)
    return list(json.loads(path.read_text()))


@pytest.mark.parametrize("outside", [False, True])
def test_annotation_8_the_server_gets_the_path_of_every_file(named: Manifest, tmp_path: Path, outside: bool) -> None:
    folder = named.folder
    paths = [row.image.relative_to(folder).as_posix() for row in named.rows]
    if outside:
        paths[0] = named.rows[0].image.as_posix()
    document_root = Path("/") if outside else folder.parent
    for task, row in zip(tasks(named, tmp_path / "next.json", folder, paths), named.rows, strict=True):
        url = urlsplit(task["data"]["image"])
        (served,) = parse_qs(url.query, strict_parsing=True)["d"]  # what the server reads
        assert (url.path, url.fragment) == ("/data/local-files/", "")
        assert document_root / served == row.image


@pytest.mark.parametrize("quoted", [True, False])
def test_annotation_8_addresses_are_found_again_without_an_id(named: Manifest, tmp_path: Path, quoted: bool) -> None:
    """Files of earlier versions are not quoted."""
    finder = RowFinder(named)
    paths = [row.image.relative_to(named.folder).as_posix() for row in named.rows]
    for number, task in enumerate(tasks(named, tmp_path / "next.json", named.folder, paths)):
        image = task["data"]["image"] if quoted else f"/data/local-files/?d={paths[number]}"
        (found,) = read_label_studio([{"data": {"image": image}, "annotations": [{"result": []}]}])
        if quoted or "+" not in paths[number]:  # the server shows another image for it
            assert finder.find(found.images) == number
