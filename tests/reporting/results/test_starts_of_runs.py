"""A report says first that runs began from random weights where others were asked for."""

from made_records import record
from s4mi.records import RANDOM, RunRecord, Start
from s4mi.reporting.results.starts import random_starts, tiny_networks
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.html import ReportRun

MISSING = Start(network="resnet50", weights=RANDOM, auto=True, why="nowhere")
FOUND = Start(network="resnet50", weights="file resnet50.pth", content="0123456789abcdef", auto=True)
ASKED = Start(network="resnet50", weights=RANDOM)


def begun(start: Start, *, seed: int = 0, **changes: object) -> RunRecord:
    return record(0.6, seed=seed).model_copy(update={"starts": (start,), **changes})


def test_the_first_line_names_the_arms_and_networks_and_how_many_runs() -> None:
    runs = [begun(MISSING), begun(MISSING, seed=1), begun(FOUND, seed=2)]
    (line,) = random_starts(runs)
    assert line.startswith(
        "Random weights, though weights: auto asked for the best at hand: transfer: resnet50 (2 runs)."
    )
    assert "S4MI_WEIGHTS" in line
    given = [ReportRun(each, (), "", f"runs/{n}") for n, each in enumerate(runs)]
    assert report_contents(given, title="title").cards[0].starts == line


def test_random_weights_that_were_asked_for_and_weights_that_were_found_need_no_line() -> None:
    assert random_starts([begun(ASKED), begun(FOUND), record(0.6)]) == []


def test_tiny_networks_are_said_to_be_no_answer() -> None:
    runs = [
        begun(ASKED, backbone=name) for name in ("tiny_resnet", "2 × tiny_vit U-Net", "resnet50 + Swin-UNet (tiny)")
    ]
    (line,) = tiny_networks(runs)
    assert line.startswith("tiny_resnet, tiny_vit, Swin-UNet (tiny): tiny networks")
    assert "profile: strong" in line
    assert tiny_networks([begun(ASKED, backbone="resnet50"), begun(ASKED, backbone="tiny_vit_5m_224")]) == []


def test_a_record_without_starts_is_read() -> None:
    contents = record(0.6).model_dump(mode="json")
    contents.pop("starts")
    assert RunRecord.model_validate(contents).starts == ()


def test_a_start_is_named_with_the_beginning_of_its_hash() -> None:
    assert FOUND.text == "resnet50: file resnet50.pth (01234567)"
    assert MISSING.text == "resnet50: random"
