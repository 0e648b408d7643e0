"""What every test may use: small drawn data sets and quick run settings."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import torch
from PIL import Image

from s4mi.cli import main
from s4mi.config import RunConfig, make_run_config
from s4mi.data.manifest import Manifest, load_manifest, write_dataset
from s4mi.data.row import Row
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.data.spec import DatasetSpec

pytest_plugins = ("label_studio_program", "page_in_chromium", "viewer_tab")

gc.disable()  # until all tests are collected, which takes 25 s of processor time without it and 32 s with it

IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ
"""Whether this process is one of several, which xdist started."""
REASON = "S4MI_DATA names no folder of real images"


def pytest_configure() -> None:
    """Test processes share the cores: one thread each, or they slow each other down tenfold.

    The default cache is a folder of the session's own: a test that erases a patient removes all features stored there.

    On CI the examples of property tests are always the same, so that a change is judged by what it changes; at home
    they are new each time.
    """
    torch.set_num_threads(1)
    if not IN_WORKER:
        os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="s4mi-tests-")  # the workers inherit it
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test asks a server for weights
    hypothesis.settings.register_profile("home", deadline=None)
    hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "home")


def pytest_collection_finish() -> None:
    """What has been imported stays, and need not be looked through again."""
    gc.enable()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Libraries that look for leaks as the process ends find none."""
    gc.unfreeze()
    if not IN_WORKER:
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Real images are not part of the project; without them their tests say so and are skipped."""
    if item.get_closest_marker("real") and not Path(os.environ.get("S4MI_DATA", "")).is_dir():
        pytest.skip(REASON)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real images; only for tests marked `real`."""
    if "S4MI_DATA" not in os.environ:
        pytest.skip(REASON)
    return Path(os.environ["S4MI_DATA"]).resolve()


@pytest.fixture(scope="session")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 drawn lesions of 48 pixels, three classes, with masks and patients."""
    folder = tmp_path_factory.mktemp("lesions") / "data"
    write_synthetic("lesions", folder, count=60, size=48, seed=1)
    return folder


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 drawn cell images of 48 pixels, five labels, with masks and patients."""
    folder = tmp_path_factory.mktemp("cells") / "data"
    write_synthetic("cells", folder, count=40, size=48, seed=1)
    return folder


DEDL: dict[str, Any] = {
    "name": "dedl",
    "encoder": "tiny_resnet",
    "weights": "none",
    "decoder_channels": [16, 8, 8],
}
PICIE: dict[str, Any] = {"name": "picie", "backbone": "tiny_resnet", "weights": "none", "width": 16}
TRANSFER: dict[str, Any] = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole session, as a user has one."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def quick(cache_dir: Path) -> Callable[..., RunConfig]:
    """Settings of a run of seconds: `quick(data, method, epochs=…, seed=…)`."""

    def make(folder: Path, method: dict[str, Any], **changes: Any) -> RunConfig:
        contents = {
            "data": {"path": folder, "image_size": 32, "cache": cache_dir, **changes.pop("data", {})},
            "method": method,
            "epochs": 3,
            "batch_size": 8,
            "optim": {"lr": 1e-3},
            "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0},
            **changes,
        }
        return make_run_config(contents, origin="test")

    return make


class Done(NamedTuple):
    """What a command left: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture
def s4mi(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line in this process, through the same `main` as the installed program."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["s4mi", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        code = left.value.code
        return Done(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def plain_images(tmp_path: Path) -> Callable[..., Manifest]:
    """Writes a data set of plain images of 64 × 96 pixels with the given names and ids `case0` and so on."""

    def write(*names: str) -> Manifest:
        folder = tmp_path / "data"
        (folder / "images").mkdir(parents=True)
        rows = []
        for n, name in enumerate(names):
            Image.new("L", (96, 64), 40 * n % 256).save(folder / "images" / name)
            rows.append(Row(f"case{n}", folder / "images" / name, None, None, None, None, n + 2))
        write_dataset(folder, DatasetSpec(name="drawn", tasks=()), rows)
        return load_manifest(folder)

    return write
