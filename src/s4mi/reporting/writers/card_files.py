"""The files that a model card lists: whether one is among them, and how it is taken off the card."""

import json
import re
from collections.abc import Sequence

from s4mi.reporting.writers.markdown import code_span
from s4mi.reporting.writers.model_card import CARD_MARK

_BLOCK = re.compile(r"\n\n(`{3,})python\n(.*?)\n\1(?=\n|$)", re.DOTALL)
_TABLE_ENDS = "\n## "


def is_card(text: str) -> bool:
    """Whether a text is a model card."""
    return text.startswith(CARD_MARK)


def lists_file(text: str, name: str) -> bool:
    """Whether a text is a model card that lists the file of this name."""
    table = text.partition(_TABLE_ENDS)[0]
    return is_card(text) and any(line.startswith(_row(name)) for line in table.splitlines())


def without_file(text: str, name: str, left: Sequence[str]) -> str:
    """Return a card without a file that it lists, and with all else as it is, also what was added by hand.

    Args:
        left: names of the files that it still lists.
    """
    table, heading, rest = text.partition(_TABLE_ENDS)
    table = "".join(line for line in table.splitlines(keepends=True) if not line.startswith(_row(name)))
    rest = _BLOCK.sub(lambda block: "" if f"({json.dumps(name)})" in block[2] else block[0], rest)
    return table + heading + rest.replace(_command(name), _command(left[0]))


def _row(name: str) -> str:
    return f"| {code_span(name)} |"


def _command(name: str) -> str:
    return code_span(f"s4mi predict {name} IMAGES -o OUT")
