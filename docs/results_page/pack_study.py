"""Write the compact records of a finished or running study into results/, from which `make results` makes the page.

python docs/results_page/pack_study.py STUDY_FOLDER studies/real/STUDY.yaml
"""

import argparse
from pathlib import Path

from compact_records import ENDING, CompactStudy, added, read_compact, write_compact

from s4mi.reporting.results.runs import load_runs

RESULTS = Path(__file__).parents[2] / "results"
MACHINE = "2 cores of an AMD EPYC (Zen 4), shared with other work; one thread a run; no GPU"


def main() -> None:
    """Pack one study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the study")
    parser.add_argument("file", type=Path, help="study file, relative to the repository")
    parser.add_argument("--machine", default=MACHINE, help="where the runs were made, in a few words")
    parser.add_argument("--measured", nargs="*", default=[], metavar="NAME=TEXT", help="measured of the whole study")
    parser.add_argument("--add", action="store_true", help="keep the runs that are packed and not in the folder")
    given = parser.parse_args()
    runs, notes = load_runs(given.folder)
    if notes:
        parser.error("; ".join(notes))
    measured = dict(each.split("=", 1) for each in given.measured)
    path = RESULTS / f"{given.file.stem}{ENDING}"
    machine = given.machine
    if given.add and path.is_file():
        before = read_compact(path)
        runs, measured = list(added(before.runs, runs)), {**before.measured, **measured}
        machine = before.machine if machine in before.machine else f"{before.machine}; later runs: {machine}"
    write_compact(CompactStudy(given.file.stem, given.file.as_posix(), machine, tuple(runs), measured), path)
    print(f"{path.name}: {len(runs)} runs, {path.stat().st_size / 1e3:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
