from pathlib import Path

import numpy as np
import pytest

from s4mi.data.files import read_frames, read_header
from s4mi.data.formats.frame import ImageError


@pytest.mark.parametrize(
    ("shape", "frames", "picture"),
    [
        ((6, 7), 1, (6, 7)),
        ((6, 7, 1), 1, (6, 7)),
        ((6, 7, 3), 1, (6, 7, 3)),
        ((3, 6, 7), 1, (6, 7, 3)),
        ((9, 6, 7), 9, (6, 7)),
        ((9, 6, 7, 3), 9, (6, 7, 3)),
        ((9, 6, 7, 1), 9, (6, 7)),
    ],
)
def test_shapes_are_read_as_pictures_or_stacks(
    tmp_path: Path, shape: tuple[int, ...], frames: int, picture: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    header, read = read_header(tmp_path / "a.npy"), list(read_frames(tmp_path / "a.npy"))
    assert (header.frames, header.height, header.width) == (frames, *picture[:2])
    assert header.channels == (picture[2] if len(picture) == 3 else 1)
    assert [frame.values.shape for frame in read] == [picture] * frames
    assert sum(int(frame.values.sum()) for frame in read) == int(array.sum())


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(4), "has shape"),
        (np.zeros((2, 2, 2, 2, 2)), "has shape"),
        (np.zeros((0, 4)), "is empty"),
        (np.zeros((4, 4), dtype=complex), "holds complex128"),
        (np.array([["a"]]), "holds <U1"),
        (np.array([[{}]], dtype=object), "is not a plain NumPy array"),
    ],
)
def test_arrays_that_are_not_images_are_refused_in_one_line(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    for read in (read_header, lambda path: list(read_frames(path))):
        with pytest.raises(ImageError, match=words) as caught:
            read(tmp_path / "a.npy")
        assert "\n" not in str(caught.value)
