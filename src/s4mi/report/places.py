"""A report is passed on: it names no folder of the machine that it was made on."""

import re

_ABSOLUTE = re.compile(r"""(?<![\w.:/])(?:/|[A-Za-z]:\\)(?:[^\s/\\:;,()'"][^/\\:;,()'"\n]*[/\\])+""")
"""The folders of a path from the root on; an address such as `https://…` is none."""


def without_places(text: str) -> str:
    """`text` with every absolute path cut down to its last part: `…/lesions` for `/home/me/lesions`."""
    return _ABSOLUTE.sub("…/", text)
