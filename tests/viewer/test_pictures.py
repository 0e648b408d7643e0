"""Pictures: what the browser gets is the image, at the asked size, through the asked window, once decoded."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from dicom_files import write_dicom
from s4mi.data.images import read_image
from s4mi.data.manifest import write_dataset
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from viewer_tab import Tab


def data_set(folder: Path, *images: Path, **spec: Any) -> Path:
    """Write a data set of image files below a folder."""
    rows = [Row(f"case{n}", image, None, None, None, None, n + 2) for n, image in enumerate(images)]
    write_dataset(folder, DatasetSpec(name="drawn", tasks=(), **spec), rows)
    return folder


def fetch(tab: Tab, path: str, **query: Any) -> np.ndarray:
    answer = tab.client.get(f"/api/images/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return np.array(Image.open(io.BytesIO(answer.content)).convert("RGB"))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A colour image of 1,300 × 2,100 pixels, which is no multiple of a tile."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (6, 10, 3), dtype=np.uint8), (2100, 1300), interpolation=cv2.INTER_CUBIC)
    (tmp_path / "page").mkdir()
    cv2.imwrite(str(tmp_path / "page" / "page.png"), image)
    return data_set(tmp_path / "page", tmp_path / "page" / "page.png")


def test_full_size_is_lossless_and_others_are_shrunk_never_enlarged(page: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(page)
    image = read_image(page / "page.png")
    assert np.array_equal(fetch(tab, "0/picture", size="full"), image)
    for size in (160, 320, 640, 1280):
        shown = fetch(tab, "0/picture", size=size)
        assert shown.shape == (round(1300 * size / 2100), size, 3)
        expected = cv2.resize(image, (size, shown.shape[0]), interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(int) - expected).mean() < 3  # lossy up to 640


def test_tiles_put_together_are_the_image(page: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(page)
    image = read_image(page / "page.png")
    levels = tab.get("images/0")["levels"]
    assert levels == 4  # 2100, 1050, 525, 263
    whole = np.concatenate(
        [np.concatenate([fetch(tab, f"0/tiles/0/{x}/{y}") for x in range(5)], axis=1) for y in range(3)]
    )
    assert np.array_equal(whole, image)
    last = fetch(tab, f"0/tiles/{levels - 1}/0/0")
    assert last.shape == (163, 263, 3)
    expected = cv2.resize(image, (263, 163), interpolation=cv2.INTER_AREA)
    assert np.abs(last.astype(int) - expected).mean() < 2


def test_many_tiles_at_once_decode_the_image_once(
    page: Path, open_tab: Callable[..., Tab], monkeypatch: pytest.MonkeyPatch
) -> None:
    from s4mi.viewer import pictures

    decoded = []
    read = pictures.read_frame
    monkeypatch.setattr(pictures, "read_frame", lambda path: decoded.append(path) or read(path))
    space = open_tab(page).space
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda x: space.pictures.tile(space.row(0), 1, x % 3, x // 3, None), range(9)))
    assert len(decoded) == 1


def test_a_browser_that_has_a_picture_gets_none_again(page: Path, open_tab: Callable[..., Tab]) -> None:
    tab = open_tab(page)
    first = tab.client.get("/api/images/0/picture", params={"size": 160})
    again = tab.client.get(
        "/api/images/0/picture", params={"size": 160}, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_sixteen_bits_are_seen_through_the_asked_window(tmp_path: Path, open_tab: Callable[..., Tab]) -> None:
    values = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 20
    (tmp_path / "deep").mkdir()
    Image.fromarray(values).save(tmp_path / "deep" / "a.png")
    tab = open_tab(data_set(tmp_path / "deep", tmp_path / "deep" / "a.png"))
    window = tab.get("images/0")["window"]
    assert (window["bits"], window["min"], window["max"]) == (16, 0, 39_980)
    assert np.array_equal(fetch(tab, "0/picture", size="full"), read_image(tmp_path / "deep" / "a.png"))
    shown = fetch(tab, "0/picture", size="full", low=10_000, high=20_000)[:, :, 0]
    expected = np.rint(np.clip((values.astype(float) - 10_000) / 10_000, 0, 1) * 255)
    assert np.abs(shown - expected).max() <= 1  # halves are rounded either way
    assert np.array_equal(shown == 0, expected == 0)


def test_nothing_of_a_patient_leaves_a_dicom_file(tmp_path: Path, open_tab: Callable[..., Tab]) -> None:
    secrets = {"PatientName": "Doe^Jane", "PatientID": "MRN-4711", "InstitutionName": "Sanatorium", "StudyID": "S-99"}
    (tmp_path / "scan").mkdir()
    values = np.arange(48 * 64, dtype=np.int16).reshape(48, 64)
    write_dicom(tmp_path / "scan" / "a.dcm", values, WindowCenter=1000, WindowWidth=400, **secrets)
    tab = open_tab(data_set(tmp_path / "scan", tmp_path / "scan" / "a.dcm"))
    answers = [
        tab.client.get(f"/api/{path}").content
        for path in ("session", "grid", "facets", "images/0", "images/0/picture?size=full", "changes")
    ]
    for value in (*secrets.values(), str(tmp_path)):
        assert all(value.encode() not in answer for answer in answers), value
    window = tab.get("images/0")["window"]
    assert (window["low"], window["high"]) == pytest.approx((800, 1199), abs=1)


def test_an_unreadable_image_is_shown_with_its_problem_and_stops_nothing(
    tmp_path: Path, open_tab: Callable[..., Tab]
) -> None:
    (tmp_path / "broken").mkdir()
    Image.new("L", (20, 10)).save(tmp_path / "broken" / "good.png")
    (tmp_path / "broken" / "bad.png").write_bytes(b"no image")
    tab = open_tab(data_set(tmp_path / "broken", tmp_path / "broken" / "good.png", tmp_path / "broken" / "bad.png"))
    assert [item["width"] for item in tab.get("grid")["items"]] == [20, None]
    assert "is not an image" in tab.get("images/1")["findings"][0]
    answer = tab.client.get("/api/images/1/picture")
    assert answer.status_code == 422
    assert str(tmp_path) not in json.dumps(answer.json())


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_a_tiled_tiff_is_read_by_regions_to_the_same_pixels(
    tmp_path: Path, open_tab: Callable[..., Tab], monkeypatch: pytest.MonkeyPatch, pyramid: bool, grey: bool
) -> None:
    from s4mi.viewer import pictures

    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (13, 17, 3), dtype=np.uint8), (2301, 1801), interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(image[:, :, 0] if grey else image)
    levels = [image]
    for _ in range(3):
        levels.append(pictures.halved(levels[-1]))
    (tmp_path / "tiled").mkdir()
    path = tmp_path / "tiled" / "slide.tif"
    photometric = "minisblack" if grey else "rgb"
    with tifffile.TiffWriter(path) as file:
        options = {"tile": (256, 128), "compression": "zlib", "photometric": photometric}
        file.write(image, subfiletype=0, **options)
        if pyramid:
            file.write(levels[1], subfiletype=1, **options)
    tab = open_tab(data_set(tmp_path / "tiled", path))
    shown = tab.get("images/0")
    assert shown["large"]
    assert shown["levels"] == 4
    monkeypatch.setattr(pictures, "read_frame", lambda _: pytest.fail("the whole image was decoded"))
    for level, expected in enumerate(levels):
        across, down = (-(-side // 512) for side in (expected.shape[1], expected.shape[0]))
        rows = [
            np.concatenate([fetch(tab, f"0/tiles/{level}/{x}/{y}") for x in range(across)], axis=1) for y in range(down)
        ]
        assert np.array_equal(np.concatenate(rows), np.stack([expected] * 3, axis=2) if grey else expected), level
    assert fetch(tab, "0/picture", size=320).shape == (250, 320, 3)


def test_the_window_told_is_the_one_that_is_shown(tmp_path: Path, open_tab: Callable[..., Tab]) -> None:
    """A window of the data set takes precedence over that of a DICOM file, for the numbers as for the picture."""
    (tmp_path / "scan").mkdir()
    values = np.linspace(-1000, 1000, 48 * 64).reshape(48, 64).astype(np.int16)
    write_dicom(tmp_path / "scan" / "a.dcm", values, WindowCenter=40, WindowWidth=400)
    tab = open_tab(data_set(tmp_path / "scan", tmp_path / "scan" / "a.dcm", intensity="window:-500:500"))
    window = tab.get("images/0")["window"]
    assert (window["low"], window["high"]) == (-500, 500)
    asked = fetch(tab, "0/picture", size="full", low=window["low"], high=window["high"])
    assert np.array_equal(fetch(tab, "0/picture", size="full"), asked)
