"""Run every benchmark, each in a process of its own, and write what they found into docs/benchmarks.md.

    python benchmarks/everything.py [--quick] [--only NAME …] [--results FOLDER] [--docs FILE]

Each section of the page has a stretch between two marks, `<!-- NAME -->` and `<!-- /NAME -->`, which is replaced; the
words around it are people's and stay. The summary holds every aim against what was measured; with `--only` it is
written where `--results` names what else was measured. With `--quick` small networks and few images are timed, and the
page is left alone unless `--docs` names it. What needs a GPU is left out where there is none. A benchmark that fails is
told at the end, and the stretches of the others are written all the same.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from measured import RESULTS, Pair, read_results

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
SUMMARY = "summary"
NAMES = {
    "data-path": "data_path.py",
    "pretraining": "pretraining.py",
    "segmentation": "segmentation.py",
    "epochs": "epochs.py",
    "clustering": "clustering.py",
    "inference": "inference.py",
    "study": "study.py",
    "startup": "startup.py",
    "growth": "growth.py",
    "gpu": "gpu.py",
}
SLOW_EVEN_IF_QUICK = ("study",)
NEEDS_GPU = ("gpu",)
MOST_MEMORY = 1.05
"""Times the peer's peak."""


@dataclass(frozen=True)
class Aim:
    """What a benchmark is to show: s4mi at least so many times as fast, in every row with the number."""

    number: int
    least: float
    word: str = ""
    """What the rows that it is of have in their name; "": all with the number."""


AIMS = (
    Aim(1, 1.9),
    Aim(2, 1.4, "ResNet-50"),
    Aim(2, 1.3, "ViT-Ti"),
    Aim(3, 3.0),
    Aim(4, 1.2, "ResNet-18"),
    Aim(4, 1.08, "ResNet-50"),
    Aim(5, 3.0),
    Aim(6, 2.5, "scipy"),
    Aim(6, 2.0, "MONAI"),
    Aim(7, 1.3),
    Aim(8, 2.0),
    Aim(9, 2.5),
    Aim(10, 1.6),
)


def main() -> None:
    """Run what was asked for, one after the other, and write the page."""
    arguments = _arguments()
    left_out = (SLOW_EVEN_IF_QUICK if arguments.quick else ()) + (() if torch.cuda.is_available() else NEEDS_GPU)
    chosen = arguments.only or [name for name in NAMES if name not in left_out]
    docs: Path | None = arguments.docs or (None if arguments.quick else PAGE)
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.results or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            if not _run(name, folder, quick=arguments.quick):
                failed.append(name)
            elif docs is not None:
                _write(docs, name, read_results(folder / f"{name}.json")[0])
        found = [read_results(path) for name in NAMES if (path := folder / f"{name}.json").exists()]
    summary = _summary([pair for _, pairs in found for pair in pairs])
    print(f"\n{summary}")
    if docs is not None and (arguments.results or not arguments.only):
        _write(docs, SUMMARY, summary)
    if failed:
        raise SystemExit(f"no results of {', '.join(failed)}: see above")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run every benchmark and write docs/benchmarks.md.")
    parser.add_argument("--quick", action="store_true", help="small networks and few images")
    parser.add_argument("--only", nargs="+", choices=tuple(NAMES), help="these")
    parser.add_argument("--results", type=Path, help="keep results in this folder, and sum up those that are there")
    parser.add_argument("--docs", type=Path, help=f"the page to write (docs/{PAGE.name}; none with --quick)")
    return parser.parse_args()


def _run(name: str, folder: Path, *, quick: bool) -> bool:
    """Whether a benchmark ran to its end."""
    print(f"\n== {name}", flush=True)
    surroundings = {**os.environ, RESULTS: str(folder)}
    words = [sys.executable, str(HERE / NAMES[name]), *(["--quick"] if quick else [])]
    return subprocess.run(words, env=surroundings, check=False).returncode == 0


def _summary(pairs: Sequence[Pair]) -> str:
    """A row for each pair that an aim is about."""
    lines = ["| # | work | against | at least | measured | least–most | memory |", "|---:|---|---|---:|---:|---:|---:|"]
    for pair in sorted((pair for pair in pairs if pair.number), key=lambda pair: pair.number):
        aim = next(
            (aim for aim in AIMS if aim.number == pair.number and aim.word in f"{pair.what} {pair.against}"), None
        )
        least = "–" if aim is None else f"{aim.least:g}×"
        measured = f"{pair.ratio:.2f}×"
        if aim is not None and pair.ratio < aim.least:
            measured = f"**{measured}**"
        memory = "–" if pair.memory is None else f"{pair.memory[0] / pair.memory[1]:.2f}×"
        if pair.memory is not None and pair.memory[0] > MOST_MEMORY * pair.memory[1]:
            memory = f"**{memory}**"
        lines.append(
            f"| {pair.number} | {pair.what} | {pair.against} | {least} | {measured} | {pair.spread} | {memory} |"
        )
    return "\n".join(lines)


def _write(page: Path, name: str, body: str) -> None:
    """Replace a stretch of the page.

    Raises:
        SystemExit: the page has no such stretch.
    """
    text = page.read_text(encoding="utf-8")
    stretch = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not stretch.search(text):
        raise SystemExit(f"{page}: has no stretch <!-- {name} --> … <!-- /{name} -->; add it where the table should be")
    page.write_text(stretch.sub(lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
