"""Settings of the runs of one technique are said once; what differs from them is what PyYAML finds to differ."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from made_records import record
from s4mi.config import make_run_config
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.settings_text import leaves_of, settings_texts


def run(text: str, *, seed: int = 0, method: str = "dedl") -> ReportRun:
    return ReportRun(record(method=method, seed=seed), (), text, f"runs/{method}-{seed}")


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by dotted name, of a parsed file."""
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    children = list(items)
    if not children:
        yield name, value
    for key, child in children:
        yield from flat(child, f"{name}.{key}" if name else str(key))


def config(method: Any, **settings: Any) -> str:
    contents = {"data": {"path": "data"}, "method": method, **settings}
    made = make_run_config(contents, origin="test")
    return yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


TEXTS = [
    config("dedl"),
    config({"name": "dedl", "decoder_channels": [64, 32, 16], "encoder": "tiny_resnet", "weights": "none"}, seed=3),
    config("cross_teaching", steps=100, label_fraction="5 images"),
    config({"name": "frozen", "join": []}, tests={"other": {"path": "there", "classes": {"nevus of a kind": "b"}}}),
    config("dino", optim={"lr": 1e-3}, loggers=["csv", "tensorboard"]),
]


@pytest.mark.parametrize("text", TEXTS)
def test_leaves_have_the_names_and_texts_of_the_file(text: str) -> None:
    leaves = leaves_of(text)
    for name, value in flat(yaml.safe_load(text)):
        assert yaml.safe_load(leaves[name]) == value, name


@pytest.mark.parametrize("one", TEXTS)
@pytest.mark.parametrize("other", TEXTS)
def test_what_differs_is_what_a_parser_finds(one: str, other: str) -> None:
    a, b = dict(flat(yaml.safe_load(one))), dict(flat(yaml.safe_load(other)))
    x, y = leaves_of(one), leaves_of(other)
    assert {n for n in {**x, **y} if x.get(n) != y.get(n)} == {n for n in {**a, **b} if a.get(n, ...) != b.get(n, ...)}


def test_later_runs_of_a_technique_say_what_differs() -> None:
    base, later = config("dedl", seed=0), config("dedl", seed=7, label_fraction=20)
    texts = settings_texts([run(base), run(later, seed=7), run(base, method="frozen")])
    assert texts["runs/dedl-0"].text == base
    assert not texts["runs/dedl-0"].like
    assert texts["runs/dedl-7"].like == "runs/dedl-0"
    assert texts["runs/dedl-7"].text == "label_fraction: 20.0\nseed: 7\n"
    assert texts["runs/frozen-0"].text == base


def test_settings_that_a_run_lacks_and_equal_ones() -> None:
    texts = settings_texts([run("a: 1\nb: 2\n"), run("a: 1\n", seed=1), run("a: 1\nb: 2\n", seed=2)])
    assert texts["runs/dedl-1"].text == "b: not set\n"
    assert (texts["runs/dedl-2"].text, texts["runs/dedl-2"].like) == ("", "runs/dedl-0")


def test_unreadable_and_very_different_settings() -> None:
    long = "".join(f"k{n}: {n}\n" for n in range(60))
    texts = settings_texts([run("a: 1\n"), run("", seed=1), run(long, seed=2), run("free text", seed=3)])
    assert "runs/dedl-1" not in texts
    assert texts["runs/dedl-2"].text == long
    assert not texts["runs/dedl-2"].like
    assert texts["runs/dedl-3"].text == "free text"
