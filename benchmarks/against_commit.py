"""Compare two commits of s4mi: the same work by both, in turn.

    python benchmarks/against_commit.py BEFORE [AFTER] [--rounds R] [--images N] [--work FOLDER] [--this-environment]

Each commit is checked out and installed into an environment of its own; with `--this-environment` both use the packages
of this one, which is right if their dependencies are the same. Runs and data are made once, by BEFORE, so that both
load the same weights and images. Every measurement is a process of its own; within a round both commits alternate, and
a ratio is the median of the rounds' ratios: above 1, AFTER is faster. Decisions of both must be equal but for one in
a thousand, or nothing is reported of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probes import MAKE_DATA, PREDICT, STEPS, TO_FIRST_STEP

ROOT = Path(__file__).resolve().parent.parent
LEAST_EQUAL = 0.999
BATCH = 16
NETWORKS = {
    "ResNet-50": "method: {name: finetune, backbone: resnet50, weights: none}\ntask: multiclass",
    "ViT-S/16": "method: {name: finetune, backbone: vit_small_patch16_224, weights: none}\ntask: multiclass",
    "ResNet-34 U-Net": "method: {name: dedl, encoder: resnet34, weights: none}\ntask: segmentation",
}
"""Networks whose predictions and training steps are timed, at 224 pixels."""


@dataclass(frozen=True)
class Build:
    """A commit and the environment that runs it."""

    commit: str
    python: Path
    source: Path

    def run(self, words: Sequence[str], *, status: int | None = 0) -> tuple[float, str]:
        """Run `python WORDS`; return its processor seconds, and what it printed.

        Raises:
            SystemExit: it failed; with `status` None any exit status will do.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [str(self.python), *words],
                stdout=output, stderr=errors, env={**os.environ, "PYTHONPATH": str(self.source / "src")},
            )  # fmt: skip
            _, ended, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(ended)
            errors.seek(0)
            if status is not None and process.returncode != status:
                raise SystemExit(f"{self.commit}: {' '.join(words)[:200]}: {errors.read()[-600:].decode()}")
            output.seek(0)
            return used.ru_utime + used.ru_stime, output.read().decode()


@dataclass(frozen=True)
class Probe:
    """What is measured.

    Attributes:
        words: after `python`; `{}` stands for a folder of the commit's own.
        rate: the process prints images per second; else its processor time counts.
        decisions: it saves its decisions in that file of the commit's folder.
    """

    title: str
    words: tuple[str, ...]
    rate: bool = False
    decisions: str = ""
    status: int | None = 0


def main() -> None:
    """Build both commits, measure, and print the table."""
    given = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        builds = [_build(name, work, shared=given.this_environment) for name in (given.before, given.after)]
        try:
            probes = _prepare(builds[0], work / "made", given.images, given.only)
            print(_table(builds, _measure(builds, probes, work, given.rounds)), flush=True)
        finally:
            for build in builds:
                _git("worktree", "remove", "--force", str(build.source))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare two commits of s4mi.")
    parser.add_argument("before", help="commit to compare with")
    parser.add_argument("after", nargs="?", default="HEAD", help="commit that is compared (default: HEAD)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    parser.add_argument("--images", type=int, default=96, help="images of a prediction")
    parser.add_argument("--work", type=Path, help="folder to build in, to be used again (default: a temporary one)")
    parser.add_argument("--this-environment", action="store_true", help="use the packages of this environment for both")
    parser.add_argument("--only", default="", help="only rows whose title contains this")
    return parser.parse_args()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _build(name: str, work: Path, *, shared: bool) -> Build:
    """Check a commit out, and install it with the packages that its own `constraints.txt` pins."""
    commit = _git("rev-parse", "--short", f"{name}^{{commit}}")
    source = Path(tempfile.mkdtemp(prefix=f"{commit}-", dir=work)) / "source"
    _git("worktree", "add", "--detach", str(source), commit)
    if shared:
        return Build(commit, Path(sys.executable), source)
    environment = work / f"environment-{commit}"
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", "constraints.txt", ".[onnx]"], cwd=source, check=True)
    return Build(commit, python, source)


def _prepare(build: Build, made: Path, images: int, only: str) -> list[Probe]:
    """Make data and runs, and return what is measured on them."""
    many, few, tiny = made / "many", made / "few", made / "tiny.yaml"
    for folder, count, side in ((many, images, 320), (few, 48, 96)):
        if not folder.exists():
            build.run(["-c", MAKE_DATA, str(folder), str(count), str(side)])
    shared = f"epochs: 1\nbatch_size: {BATCH}\nepoch_steps: "
    tiny.write_text(
        f"data: {{path: {few}, image_size: 96, cache: {made / 'cache'}}}\n{shared}2\ntask: multiclass\n"
        "method: {name: finetune, backbone: resnet18, weights: none}\n"
    )
    s4mi = ("-m", "s4mi")
    runs = made / "runs"
    if not runs.exists():
        small = ("method.backbone=tiny_resnet", "data.image_size=32")
        build.run([*s4mi, "train", str(tiny), "-o", str(runs / "one"), *small])
    page = ("-o", "{}/report.html")
    missing, unknown, out = str(made / "none.yaml"), "optim.learning_rate=1", ("-o", "{}/refused")
    probes = [
        Probe("s4mi methods", (*s4mi, "methods")),
        Probe("s4mi train, no such file", (*s4mi, "train", missing, *out), status=1),
        Probe("s4mi train, unknown setting", (*s4mi, "train", str(tiny), unknown, *out), status=1),
        Probe("s4mi study plan", (*s4mi, "study", "plan", "first-answer", f"data.path={few}")),
        Probe("s4mi report, pictures drawn before", (*s4mi, "report", str(runs), *page)),
        Probe("s4mi train to its first step", ("-c", TO_FIRST_STEP, str(tiny), "{}/steps")),
    ]
    for title, method in NETWORKS.items():
        key = title.replace("/", "-").replace(" ", "-")
        settings, run = made / f"{key}.yaml", made / "networks" / key
        data = f"data: {{path: {many}, image_size: 224, cache: {made / 'cache'}}}\n"
        settings.write_text(f"{data}{method}\n{shared}8\noptim: {{lr: 3e-4}}\n")
        predicting = Probe(
            f"{title}, 224: predictions", ("-c", PREDICT, str(run), str(many), f"{{}}/{key}.npy"), True, f"{key}.npy"
        )
        training = Probe(
            f"{title}, 224: training", ("-c", STEPS, str(settings), "{}/steps", "4", str(BATCH)), rate=True
        )
        if only in predicting.title and not run.exists():
            build.run([*s4mi, "train", str(settings), "-o", str(run)])
        probes += [predicting, training]
    return [probe for probe in probes if only in probe.title]


def _measure(
    builds: Sequence[Build], probes: Sequence[Probe], work: Path, rounds: int
) -> list[tuple[Probe, list[list[float]], str]]:
    """Return for each probe the measurements of both commits, and a note on their decisions."""
    results = []
    for probe in probes:
        taken: list[list[float]] = [[], []]
        for number in range(rounds + 1):  # the first is not counted: it reads from the disk
            for build, values in zip(builds, taken, strict=True):
                folder = work / f"of-{build.commit}"
                folder.mkdir(exist_ok=True)
                processor, printed = build.run(
                    [word.replace("{}", str(folder)) if word.startswith("{}") else word for word in probe.words],
                    status=probe.status,
                )
                if number:
                    values.append(float(printed.split()[-1]) if probe.rate else processor)
        note = ""
        if probe.decisions:
            one, other = (np.load(work / f"of-{build.commit}" / probe.decisions) for build in builds)
            equal = float((one == other).mean())
            note = f"{equal:.3%} equal decisions" if equal >= LEAST_EQUAL else f"**only {equal:.2%} equal decisions**"
        results.append((probe, taken, note))
        print(f"{time.strftime('%H:%M:%S')} {_row(probe, taken, note)}", file=sys.stderr, flush=True)
    return results


def _row(probe: Probe, taken: Sequence[Sequence[float]], note: str) -> str:
    before, after = taken
    ratios = [b / a if probe.rate else a / b for a, b in zip(before, after, strict=True)]
    unit = "images/s" if probe.rate else "processor s"
    spread = f"{min(ratios):.2f}–{max(ratios):.2f}×"
    middle = [f"{statistics.median(values):.3g}" for values in taken]
    return (
        f"| {probe.title} | {unit} | {middle[0]} | {middle[1]} | {statistics.median(ratios):.2f}× | {spread} | {note} |"
    )


def _table(builds: Sequence[Build], results: Sequence[tuple[Probe, list[list[float]], str]]) -> str:
    head = f"| | unit | {builds[0].commit} | {builds[1].commit} | ratio | range | |\n|---|---|---:|---:|---:|---:|---|"
    return "\n".join([head, *(_row(*result) for result in results)])


if __name__ == "__main__":
    main()
