"""Run every benchmark, each in its own process, and write the results into docs/benchmarks.md.

    python benchmarks/everything.py [--quick] [--only NAME …] [--results FOLDER] [--docs FILE]

Each section of the page has a block between two marks, `<!-- NAME -->` and `<!-- /NAME -->`, which is replaced; the
text around it is kept. The summary compares every target with the measurement; with `--only` it is written if
`--results` names the folder of the other results. With `--quick` small networks and few images are timed, and no page
is written unless `--docs` names it. Benchmarks that need a GPU are skipped without one. A benchmark that fails is
reported at the end, and the blocks of the others are written nevertheless.
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
    "encoder-pass": "encoder_pass.py",
    "frozen-grid": "frozen_grid.py",
    "study": "study.py",
    "startup": "startup.py",
    "growth": "growth.py",
    "step-profile": "step_profile.py",
    "gpu": "gpu.py",
}
SLOW_EVEN_IF_QUICK = ("study", "step-profile")
NEEDS_GPU = ("gpu",)
MOST_MEMORY = 1.0
"""Largest peak memory relative to the peer's."""


@dataclass(frozen=True)
class Target:
    """Target of a benchmark: the least ratio, in every row with this number."""

    number: int
    least: float
    word: str = ""
    """Restricts the target to rows that contain it; "": all with the number."""


TARGETS = (
    Target(1, 1.9),
    Target(2, 1.55, "ResNet-50"),
    Target(2, 1.35, "ViT-Ti"),
    Target(3, 3.0),
    Target(4, 1.2, "ResNet-18"),
    Target(4, 1.08, "ResNet-50"),
    Target(5, 1.6, "from memory"),
    Target(5, 3.0),
    Target(6, 2.8, "U-Net, 224"),
    Target(6, 2.5, "scipy"),
    Target(6, 2.0, "MONAI"),
    Target(7, 1.3),
    Target(8, 2.0),
    Target(9, 2.5),
    Target(10, 1.6),
    Target(11, 1.4, "features of files"),
    Target(12, 2.0, "features of files"),
    Target(13, 0.8),  # a grid of frozen runs takes at most 1.25 times as long as a pass
    Target(14, 50),
    Target(15, 1.7),
)


def main() -> None:
    """Run the requested benchmarks one after the other, and write the page."""
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
        raise SystemExit(f"no results for {', '.join(failed)}: see above")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run every benchmark and write docs/benchmarks.md.")
    parser.add_argument("--quick", action="store_true", help="small networks and few images")
    parser.add_argument("--only", nargs="+", choices=tuple(NAMES), help="benchmarks to run (default: all)")
    parser.add_argument("--results", type=Path, help="folder for the results; the summary includes all results in it")
    parser.add_argument("--docs", type=Path, help=f"page to write (default: docs/{PAGE.name}; none with --quick)")
    return parser.parse_args()


def _run(name: str, folder: Path, *, quick: bool) -> bool:
    """Run a benchmark; return whether it succeeded."""
    print(f"\n== {name}", flush=True)
    environment = {**os.environ, RESULTS: str(folder)}
    command = [sys.executable, str(HERE / NAMES[name]), *(["--quick"] if quick else [])]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def _summary(pairs: Sequence[Pair]) -> str:
    """Return a table with a row for each pair with a target."""
    lines = ["| # | benchmark | peer | target | measured | range | memory |", "|---:|---|---|---:|---:|---:|---:|"]
    for pair in sorted((pair for pair in pairs if pair.number), key=lambda pair: pair.number):
        target = next(
            (
                target
                for target in TARGETS
                if target.number == pair.number and target.word in f"{pair.what} {pair.against}"
            ),
            None,
        )
        least = "–" if target is None else f"{target.least:g}×"
        measured = f"{pair.ratio:.2f}×"
        if target is not None and pair.ratio < target.least:
            measured = f"**{measured}**"
        memory = "–" if pair.memory is None else f"{pair.memory[0] / pair.memory[1]:.2f}×"
        if pair.memory is not None and round(pair.memory[0] / pair.memory[1], 2) > MOST_MEMORY:
            memory = f"**{memory}**"
        lines.append(
            f"| {pair.number} | {pair.what} | {pair.against} | {least} | {measured} | {pair.spread} | {memory} |"
        )
    return "\n".join(lines)


def _write(page: Path, name: str, body: str) -> None:
    """Replace a block of the page.

    Raises:
        SystemExit: the page has no such block.
    """
    text = page.read_text(encoding="utf-8")
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not block.search(text):
        raise SystemExit(f"{page}: has no block <!-- {name} --> … <!-- /{name} -->; add it where the table should be")
    page.write_text(block.sub(lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
