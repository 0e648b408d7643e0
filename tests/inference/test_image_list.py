"""Selection of input images: all of a data set, a part, or those without annotation for the task."""

from dataclasses import replace
from pathlib import Path

import pytest

from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.errors import S4miError
from s4mi.inference.image_list import find_inputs
from s4mi.records import TaskKind


@pytest.fixture
def sparse(tmp_path: Path, lesions: Path) -> Path:
    """Six lesions: the second without label, the third without mask, the fourth without both."""
    full = load_manifest(lesions)
    folder = tmp_path / "sparse"
    folder.mkdir()
    rows = [
        replace(row, labels=None if n in (1, 3) else row.labels, mask=None if n in (2, 3) else row.mask)
        for n, row in enumerate(full.rows[:6])
    ]
    write_dataset(folder, full.spec.model_copy(update={"root": str(lesions)}), rows)
    return folder


@pytest.mark.parametrize(("kind", "expected"), [("multiclass", [1, 3]), ("segmentation", [2, 3])])
def test_only_images_without_annotation_for_the_task(sparse: Path, kind: TaskKind, expected: list[int]) -> None:
    ids = [row.id for row in load_manifest(sparse).rows]
    assert [one.name for one in find_inputs([sparse], (), None)] == ids
    assert [one.name for one in find_inputs([sparse], (), None, unannotated=kind)] == [ids[n] for n in expected]


def test_annotations_are_known_for_data_sets_only(lesions: Path, sparse: Path) -> None:
    with pytest.raises(
        S4miError, match=r"images: not a data set, so its annotated images .* leave out --unannotated, or pass"
    ) as error:
        find_inputs([lesions / "images"], (), None, unannotated="segmentation")
    assert "\n" not in str(error.value)
    with pytest.raises(S4miError, match="all 60 selected images have a mask; leave out --unannotated"):
        find_inputs([lesions], (), None, unannotated="segmentation")
