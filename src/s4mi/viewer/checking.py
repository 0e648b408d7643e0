"""Check a data set in a process of its own: `python -m s4mi.viewer.checking DATASET` prints JSON, one object per line.

Decoding every image of a large data set takes minutes, and its thumbnails hundreds of megabytes.
"""

import json
import sys
import time
from pathlib import Path

from s4mi.data.checks.check import check_path
from s4mi.errors import S4miError

REPORT_SECONDS = 0.5


def main(folder: str) -> None:
    """Print progress while the images are decoded, then the findings, or the error."""
    said = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > REPORT_SECONDS:
            said = time.monotonic()
            _say({"done": done, "total": total})

    try:
        reports = check_path(Path(folder), progress=progress)
    except S4miError as error:
        _say({"error": str(error)})
        return
    _say({
        "findings": [
            {"code": one.code, "severity": one.severity, "text": f"{one.location}: {one.message}", "lines": one.rows}
            for report in reports for one in report.findings
        ]
    })  # fmt: skip


def _say(contents: object) -> None:
    sys.stdout.write(json.dumps(contents) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
