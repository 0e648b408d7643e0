"""A warning that many runs give is printed once, and the others are counted."""

import logging

import pytest

from s4mi.studies.repeated_warnings import RepeatedWarnings


def test_warnings_that_differ_in_numbers_alone_are_printed_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "s4mi")
    warnings = RepeatedWarnings()
    for epoch in (2, 4, 6):
        warnings.show(f"pretraining/cass-seed{epoch}", f"epoch {epoch}: features have collapsed (0.0{epoch})")
    warnings.show("runs/a", "another thing")
    assert [record.getMessage() for record in caplog.records] == [
        "pretraining/cass-seed2: epoch 2: features have collapsed (0.02)", "runs/a: another thing",
    ]  # fmt: skip
    warnings.finish()
    assert caplog.records[-1].getMessage() == (
        "the warning of pretraining/cass-seed2 came 2 times more; the logs of the runs have all"
    )
    before = len(caplog.records)
    warnings.finish()
    assert len(caplog.records) == before, "said once"
