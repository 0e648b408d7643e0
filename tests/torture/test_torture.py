"""Kill, starve and feed nonsense to every command; `make torture` runs this, with KILLS, MUTANTS and SEED.

The tables go to standard output, and into the file that TORTURE_REPORT names.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import judge_mutants
import kills
import label_studio_stub
import mutants
import mutants_of_views
import pairs
import prepared
import views
from jobs import in_fork, run_forked

pytestmark = pytest.mark.torture
SEED = int(os.environ.get("SEED", "0"))
ONLY = tuple(filter(None, os.environ.get("SCENES", "").split(",")))
"""Names of scenes, if not all are disturbed."""


def _import_all() -> None:
    """Import what commands import, so that forks need not; nothing may start a thread here."""
    import s4mi.recipes.embed
    import s4mi.recipes.erase
    import s4mi.recipes.explain
    import s4mi.recipes.export
    import s4mi.recipes.predict
    import s4mi.recipes.report
    import s4mi.recipes.suggest
    import s4mi.recipes.train
    import s4mi.studies.run
    import s4mi.viewer.server  # noqa: F401


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("torture") / "base"
    os.environ["HF_HUB_OFFLINE"] = "1"
    _import_all()

    def data() -> None:
        prepared.make_data(folder)
        mutants.make_formats(folder / "formats")

    made = in_fork(data)
    assert made.status == 0, made.output

    def run(*words: object) -> None:
        ended = run_forked(words)
        assert ended.status == 0, ended.output

    prepared.make_runs(folder, run)
    made = in_fork(lambda: mutants_of_views.make_views(folder))
    assert made.status == 0, made.output
    with label_studio_stub.running() as address:
        os.environ["LABEL_STUDIO_URL"], os.environ["LABEL_STUDIO_API_KEY"] = address, "token"
        yield folder


def _report(text: str) -> None:
    sys.stdout.write(f"\nseed {SEED}\n\n{text}\n\n")
    if name := os.environ.get("TORTURE_REPORT"):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"seed {SEED}\n\n{text}\n\n")


def test_disturbed_commands_go_on_as_if_undisturbed(base: Path, tmp_path: Path) -> None:
    tallies = kills.torture_kills(base, tmp_path, count=int(os.environ.get("KILLS", "500")), seed=SEED, names=ONLY)
    _report(kills.table(tallies))
    assert not [f"{name}: {line}" for name, one in tallies.items() for line in one.examples]


def test_a_killed_server_of_the_page_loses_at_most_the_stroke_in_hand(base: Path, tmp_path: Path) -> None:
    tally = views.torture_view(base, tmp_path, count=max(4, int(os.environ.get("KILLS", "500")) // 12), seed=SEED)
    _report(kills.table({"view": tally}))
    assert not tally.examples


def test_two_processes_at_once_end_in_one_line_or_with_the_right_results(base: Path, tmp_path: Path) -> None:
    tallies = pairs.torture_pairs(base, tmp_path, count=int(os.environ.get("PAIRS", "100")), seed=SEED, names=ONLY)
    _report(pairs.table(tallies))
    assert not [f"{name}: {line}" for name, one in tallies.items() for line in one.examples]


def test_damaged_inputs_end_in_one_line(base: Path, tmp_path: Path) -> None:
    found = judge_mutants.torture_mutants(base, tmp_path, count=int(os.environ.get("MUTANTS", "1000")), seed=SEED)
    _report(judge_mutants.table(found))
    for name, one in found.items():
        sys.stdout.writelines(f"{name}: {line}\n" for line in one.examples)
    assert not [f"{name}: {line}" for name, one in found.items() for line in one.examples]
