"""Our reading of annotations against the tools' own libraries: LabelMe's shapes, and what Datumaro, CVAT's, writes.

The libraries need Qt and pins of their own, so that they run in an environment of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.annotations.merge import plan_merge
from s4mi.data.annotations.read import read_annotations
from s4mi.data.annotations.rules import MergeRules
from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec

PACKAGES = ("labelme==6.3.1", "datumaro==1.13.12")
SCRIPT = Path(__file__).with_name("tool_exports.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tools wrote, by a fresh environment, or by the Python that S4MI_ANNOTATION_TOOLS names."""
    folder = tmp_path_factory.mktemp("tools")
    python = os.environ.get("S4MI_ANNOTATION_TOOLS")
    if python is None:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = str(folder / "venv" / "bin" / "python")
        installed = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *PACKAGES], capture_output=True, text=True, check=False
        )
        if installed.returncode:
            pytest.skip(f"{' and '.join(PACKAGES)} cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
    environment = {"PATH": os.environ["PATH"], "QT_QPA_PLATFORM": "offscreen", "HOME": str(folder)}
    subprocess.run([python, SCRIPT, folder / "out"], check=True, env=environment)
    return folder / "out"


@pytest.fixture(scope="module")
def dataset(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The images that were annotated."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "images").mkdir()
    rows = []
    for name in sorted(path.stem for path in (exports / "labelme").iterdir()):
        Image.new("L", (96, 64), 90).save(folder / "images" / f"{name}.png")
        rows.append(Row(name, folder / "images" / f"{name}.png", None, None, None, None, 0))
    write_dataset(folder, DatasetSpec(name="drawn", tasks=()), rows)
    return load_manifest(folder)


@pytest.mark.parametrize("source", ["labelme", "voc", "rle", "polygon"])
def test_annotation_of_a_tools_own_library_differs_in_no_pixel(source: str, exports: Path, dataset: Manifest) -> None:
    folder = exports / source
    path = next(folder.rglob("*.json")) if source in ("rle", "polygon") else folder
    plan = plan_merge(dataset, {path: read_annotations(path)}, MergeRules())
    assert not plan.errors
    classes = plan.spec.mask_classes
    truth = np.load(exports / "truth.npz")
    assert len(plan.masks) == len(dataset.rows) == 40
    different = 0
    for number, row in enumerate(dataset.rows):
        expected = truth[f"{source}_{row.id}"]
        for value, name in ((1, "one"), (2, "two")):
            different += int(((plan.masks[number].classes == classes.index(name)) != (expected == value)).sum())
    assert different == 0
