"""No command opens a socket unless it is asked to, none writes outside its folders, and images are their owner's."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from seccomp_guard import AVAILABLE

from dicom_files import ramp, write_dicom
from every_command import every_command
from made_import_sources import SOURCES, import_words
from s4mi.data.sources.pseudonyms import KEY_NAME, pseudonym
from s4mi.data.sources.synthetic import write_synthetic

SETUP = """
import os, sys
sys.path.insert(0, {tests!r})
os.environ["HOME"] = {home!r}
from s4mi.cli import main
import urllib3  # asks on import, with a socket of this machine's own, whether there is IPv6
from seccomp_guard import forbid_sockets
forbid_sockets()
from s4mi.cli import main
import s4mi.recipes.train, s4mi.recipes.report, s4mi.recipes.explain, s4mi.recipes.export, s4mi.recipes.suggest
import s4mi.recipes.embed, s4mi.recipes.predict, s4mi.studies.run, s4mi.visualisation.comparison_sheet
import importlib, pkgutil, s4mi.methods
for module in pkgutil.walk_packages(s4mi.methods.__path__, "s4mi.methods."):
    importlib.import_module(module.name)  # once, and not in the process of every command
import s4mi.studies.demo
from s4mi.data.parallel import end_processes
from pathlib import Path
from s4mi.config import load_study
s4mi.studies.demo.demo_study = lambda *_, **__: load_study(Path("study.yaml"))  # the demonstration with a smaller study
def run(*words):
    sys.argv = ["s4mi", *words]
    child = os.fork()
    if child == 0:
        status = 0
        try:
            main()
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 70
        end_processes()  # as the end of a command does; idle ones would keep the output open for five minutes
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", "cls.yaml", "-o", "cls"),
    "evaluate": ("evaluate", "cls"),
    "calibrate": ("calibrate", "cls"),
    "predict": ("predict", "cls", "data/images", "-o", "predicted"),
    "export": ("export", "cls", "-o", "model.onnx"),
    "predict with ONNX": ("predict", "model.onnx", "data/images", "-o", "by-onnx"),
    "suggest": ("suggest", "cls", "fresh", "-n", "2", "-o", "next.csv"),
    "explain": ("explain", "cls", "data", "-o", "maps", "--limit", "2", "--no-sanity"),
    "embed": ("embed", "cls", "data", "-o", "features.parquet"),
    "train a segmenter": ("train", "seg.yaml", "-o", "seg"),
    "compare": ("compare", "seg", "-o", "sheet.png"),
    "report": ("report", "cls", "-o", "report.html", "--no-sheets"),
    "methods": ("methods",),
    "data split": ("data", "split", "data", "-o", "split.json"),
    "data check": ("data", "check", "data"),
    "data merge": ("data", "merge", "open", "labels.csv"),
    "data erase": ("data", "erase", "open", "patient_0003", "--yes", "--cache", "cache"),
    **{f"data import {name}": import_words(name, f"source-{name}", f"set-{name}") for name in SOURCES},
    "data check of a folder": ("data", "check", "source-pairs"),
    "study plan": ("study", "plan", "study.yaml"),
    "study run": ("study", "run", "study.yaml", "-o", "study", "--workers", "0"),
    "study run with workers": ("study", "run", "study.yaml", "-o", "by-workers", "--workers", "1"),
    "report of a study": ("report", "study", "-o", "study.html", "--no-names"),
    "simulate": (
        "simulate",
        "cls.yaml",
        "-o",
        "simulated",
        "--strategies",
        "random",
        "--seeds",
        "0",
        "--rounds",
        "1",
        "-n",
        "4",
    ),
    "demo": ("demo", "-o", "demo", "--workers", "0"),
}
ASKED = frozenset({"labelstudio push", "labelstudio pull", "view"})
"""Commands whose purpose is a server, which their arguments name."""


def test_every_command_is_covered() -> None:
    there = every_command()
    words = [" ".join(case) for case in COMMANDS.values()]
    without = {name for name in there - ASKED if not any(f"{case} ".startswith(f"{name} ") for case in words)}
    assert without == set()
    assert there >= ASKED
    assert not [case for case in words if "--help" in case]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private")
    write_synthetic("lesions", folder / "data", count=30, size=32, seed=1)
    write_synthetic("lesions", folder / "fresh", count=6, size=32, seed=9)
    shutil.copytree(folder / "data", folder / "open")
    for name in ("fresh", "open"):
        lines = (folder / name / "manifest.csv").read_text().splitlines()
        rows = [line.split(",") for line in lines[1:]]
        for row in rows[: 6 if name == "fresh" else 4]:
            row[3] = ""
        (folder / name / "manifest.csv").write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    (folder / "labels.csv").write_text("id,label\nlesion_0000,nevus\n")
    for name, make in SOURCES.items():
        make(folder / f"source-{name}")
    common: Mapping[str, Any] = {
        "data": {"path": "data", "image_size": 64, "cache": "cache"},
        "epochs": 1,
        "batch_size": 8,
    }
    network = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
    decoder = {"name": "dedl", "encoder": "tiny_resnet", "weights": "none", "decoder_channels": [16, 8, 8]}
    settings = {
        "cls": {**common, "method": network},
        "seg": {**common, "method": decoder},
        "study": {"data": common["data"], "seeds": [0], "label_fractions": [100], "arms": [
            {"name": "cls", "method": network, "epochs": 1, "batch_size": 8}]},
    }  # fmt: skip
    for name, contents in settings.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(contents))
    return folder


@pytest.fixture(scope="module")
def ended(place: Path) -> dict[str, int]:
    """Exit status of every command, run under the guard in forks of one process, with an empty home."""
    home = place / "home"
    home.mkdir()
    tests = str(Path(__file__).parent)
    script = SETUP.format(tests=tests, home=str(home)) + "".join(
        f"print('ENDED', {name!r}, run(*{words!r}), sep='|', flush=True)\n" for name, words in COMMANDS.items()
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=900
    )
    (place / "log.txt").write_text(done.stdout + done.stderr)
    lines = [line.split("|") for line in done.stdout.splitlines() if line.startswith("ENDED")]
    assert len(lines) == len(COMMANDS), done.stderr[-3000:]
    return {name: int(status) for _, name, status in lines}


@pytest.mark.skipif(not AVAILABLE, reason="needs seccomp of Linux")
def test_the_guard_ends_a_process_that_opens_a_socket() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import seccomp_guard, socket; "
    code += "seccomp_guard.forbid_sockets(); socket.socket(socket.AF_UNIX).close(); print('local'); socket.socket()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGSYS, "local\n")


@pytest.mark.skipif(not AVAILABLE, reason="needs seccomp of Linux")
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_opens_a_socket(ended: dict[str, int], place: Path, name: str) -> None:
    assert ended[name] == 0, (place / "log.txt").read_text()[-6000:]


@pytest.mark.skipif(not AVAILABLE, reason="needs seccomp of Linux")
def test_no_command_writes_into_the_home_folder(ended: dict[str, int], place: Path) -> None:
    assert len(ended) == len(COMMANDS)
    left = {path.relative_to(place / "home").as_posix() for path in (place / "home").rglob("*") if path.is_file()}
    assert {name for name in left if not name.startswith(".cache/s4mi/")} == set()


@pytest.mark.skipif(not AVAILABLE, reason="needs seccomp of Linux")
def test_caches_and_data_sets_are_readable_by_their_owner_alone(ended: dict[str, int], place: Path) -> None:
    assert ended["train"] == 0
    roots = (place / "cache", *(place / f"set-{name}" for name in SOURCES))
    for root in roots:
        for path in (root, *root.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path


def test_pseudonyms_are_keyed_and_the_key_is_private(s4mi: Any, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(3):
        pixels = ramp().astype(np.uint16) + number
        write_dicom(tmp_path / "scans" / f"{number}.dcm", pixels, PatientID=f"P{number % 2}")
    for name in ("one", "two"):
        done = s4mi("data", "import", "folder", tmp_path / "scans", "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
    groups = []
    for name in ("one", "two"):
        key = tmp_path / name / KEY_NAME
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        table = (tmp_path / name / "manifest.csv").read_text()
        groups.append({line.split(",")[4] for line in table.splitlines()[1:]})
        secret = key.read_text()
        others = [path for path in (tmp_path / name).rglob("*") if path.is_file() and path != key]
        assert not any(secret.encode() in path.read_bytes() for path in others)
    assert all(len(one) == 2 and all(len(group) == 32 for group in one) for one in groups)
    assert not groups[0] & groups[1]  # another key, other pseudonyms
    again = s4mi("data", "import", "folder", tmp_path / "scans", "-o", tmp_path / "one", "--force")
    assert again.returncode == 0
    table = (tmp_path / "one" / "manifest.csv").read_text()
    assert {line.split(",")[4] for line in table.splitlines()[1:]} == groups[0]  # the same key, the same


def test_a_pseudonym_is_the_hmac_of_the_identifier() -> None:
    import hmac

    assert pseudonym("P1", b"k" * 32) == hmac.digest(b"k" * 32, b"P1", "sha256").hex()[:32]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_other_files_follow_the_umask(s4mi: Any, tmp_path: Path, lesions: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        assert s4mi("data", "split", lesions, "-o", tmp_path / "split.json").returncode == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "split.json").stat().st_mode) == 0o666 & ~umask


def test_sockets_of_tests_exist() -> None:
    """The guard is on while commands run, and only then."""
    socket.socket().close()
