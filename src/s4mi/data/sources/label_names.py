"""Labels that look wrong: several names in one cell, spellings of one name, words for a missing value, rare classes.

Nothing is changed here: each finding names the option that changes it.
"""

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from s4mi.data.row import Row
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding

SEPARATORS = ("|", ";", ",", "/", "+", "&")
"""Characters that may separate several names in one cell; those after the second also occur within names."""
SURE = SEPARATORS[:2]
MISSING = frozenset({
    "", "n/a", "na", "nan", "null", "nil", "none", "missing", "unknown", "unk", "unlabelled", "unlabeled", "undefined",
    "not available", "not applicable", "not labelled", "not labeled", "to do", "todo", "tbd", "#n/a", "<na>",
})  # fmt: skip
"""Words for a missing value, in lower case; so are signs such as `?`."""
NEGATIVE = frozenset({"no finding", "no findings", "nofinding", "no_finding", "negative", "normal", "healthy"})
"""Words for an image that shows none of several classes."""
RARE = 10
"""Classes of fewer images are reported, unless all classes are about as small."""
MIN_LENGTH = 5
"""Shorter names of one letter's difference are not taken for spellings of one."""
LONG = 8
"""Names of at least this length may differ by two letters, if one is this many times rarer:"""
RARER = 4
OPPOSITES = (("hyper", "hypo"), ("inter", "intra"), ("ab", "ad"), ("macro", "micro"))
"""Beginnings of words that mean different things though they differ by a letter or two."""
MAX_SHOWN = 8
MAX_COMPARED = 500
"""With more classes than this, only spellings that differ by case and punctuation are searched."""


def combined(cells: Mapping[str, int]) -> tuple[str, str, bool] | None:
    """Return the separator, an example, and whether it is certain, if cells are made of the names in other cells.

    Args:
        cells: number of rows of each distinct cell.
    """
    for separator in SEPARATORS:
        pieces = {
            cell: [name.strip() for name in cell.split(separator) if name.strip()]
            for cell in cells
            if separator in cell
        }
        pieces = {cell: names for cell, names in pieces.items() if len(names) > 1}
        counts = Counter(name for names in pieces.values() for name in names)
        alone = {cell for cell in cells if separator not in cell}
        of_others = [cell for cell, names in pieces.items() if all(name in alone for name in names)]
        repeated = [cell for cell, names in pieces.items() if all(name in alone or counts[name] > 1 for name in names)]
        if of_others or (separator in SURE and repeated):
            return separator, (of_others or repeated)[0], True
        if len(repeated) > 2:
            return separator, repeated[0], False
    return None


def is_missing(name: str) -> bool:
    """Whether a name is a word for a missing value."""
    return name.strip().casefold() in MISSING or set(name) <= set("?-–—._*#/~ ")


def spellings(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield pairs (rarer, commoner) of names that look like spellings of one."""
    by_plain: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        by_plain[_plain(name)].append(name)
    for names in by_plain.values():
        common = max(names, key=lambda name: counts[name])
        yield from ((name, common) for name in names if name != common)
    plains = {plain: max(names, key=lambda name: counts[name]) for plain, names in by_plain.items()}
    for one, other in combinations(plains if len(plains) <= MAX_COMPARED else (), 2):
        rarer, common = sorted((plains[one], plains[other]), key=lambda name: counts[name])
        rare_enough = counts[rarer] * RARER <= counts[common]
        if _near(one, other, rare_enough=rare_enough) and not _differ_by_word(rarer, common):
            yield rarer, common


def describe(counts: Mapping[str, int], *, multilabel: bool) -> Iterator[tuple[str, str]]:
    """Yield the code and message of every problem of the names of classes.

    Args:
        counts: number of images of each class.
    """
    missing = {name for name in counts if is_missing(name) and not (name == "-" and "+" in counts)}
    for name in counts:
        if name in missing:
            message = f"class {name!r} ({counts[name]} images) looks like a missing value"
            yield "label-missing-value", f"{message}; use --drop-class {shlex.quote(name)} to leave them unlabelled"
        elif multilabel and name.casefold() in NEGATIVE:
            message = f"class {name!r} ({counts[name]} images) looks like the absence of all classes"
            yield "label-negative", f"{message}; use --negative {shlex.quote(name)} if so"
    for rarer, common in spellings({name: count for name, count in counts.items() if name not in missing}):
        rename = shlex.quote(f"{rarer}={common}")
        message = (
            f"classes {rarer!r} ({counts[rarer]} images) and {common!r} ({counts[common]}) look like spellings of one"
        )
        yield "label-spelling", f"{message}; use --rename {rename} if so"


def rare_classes(counts: Mapping[str, int]) -> str:
    """Return a note on classes of few images, or `''` if there are none."""
    most = max(counts.values(), default=0)
    rare = {name: count for name, count in counts.items() if 0 < count < RARE and (most >= RARE or most > 3 * count)}
    if not rare:
        return ""
    shown = ", ".join(f"{name} {count}" for name, count in list(rare.items())[:MAX_SHOWN])
    more = f" and {len(rare) - MAX_SHOWN} more" if len(rare) > MAX_SHOWN else ""
    return (
        f"fewer than {RARE} images of {shown}{more}: too few to learn and score reliably; collect more images, merge "
        "classes with --rename, or leave them out with --drop-class at import"
    )


def combination_message(cells: Mapping[str, int]) -> tuple[str, bool] | None:
    """Return a message on cells that hold several names, and whether it is certain; None if there are none."""
    found = combined(cells)
    if found is None:
        return None
    separator, example, sure = found
    names = some([name.strip() for name in example.split(separator)])
    message = (
        f"label {example!r} looks like several classes ({names}); use --label-separator {shlex.quote(separator)} if "
        "so, else --label-separator '' to keep each cell whole"
    )
    return message, sure


def _plain(name: str) -> str:
    """Return a name in lower case, without punctuation; `<5` and `>5`, `HER2+` and `HER2-` stay different."""
    signs = "".join(re.findall(r"[<>=≤≥]|[+-]+$", name.strip()))
    return re.sub(r"[\W_]+", "", name.casefold()) + signs


def _near(one: str, other: str, *, rare_enough: bool) -> bool:
    """Whether two plain names differ by a letter, or two in long names of which one is rare."""
    if min(len(one), len(other)) < MIN_LENGTH or _signs(one) != _signs(other):
        return False
    if any(_are_opposites(one, other, pair) or _are_opposites(other, one, pair) for pair in OPPOSITES):
        return False
    limit = 2 if rare_enough and min(len(one), len(other)) >= LONG else 1
    return distance(one, other, limit=limit) <= limit


def _signs(plain: str) -> str:
    """Return the digits and signs of a plain name, in which every difference counts."""
    return re.sub(r"[^\W_]", lambda letter: letter.group() if letter.group().isdecimal() else "", plain)


def _are_opposites(one: str, other: str, pair: tuple[str, str]) -> bool:
    first, second = pair
    return one.startswith(first) and other.startswith(second) and one[len(first) :] == other[len(second) :]


def _differ_by_word(one: str, other: str) -> bool:
    """Whether names of several words differ in a word of a letter or two, such as `type A` and `type B`."""
    first, second = (re.findall(r"[^\W_]+", name.casefold()) for name in (one, other))
    different = [(a, b) for a, b in zip(first, second, strict=False) if a != b]
    return len(first) == len(second) > 1 and any(len(a) < 3 or len(b) < 3 for a, b in different)


def distance(one: str, other: str, *, limit: int) -> int:
    """Return the number of letters to insert, remove, replace or swap with the next; `limit` + 1 if it is more."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, previous = row, before
        row = [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if previous and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
    return min(row[-1], limit + 1)


def find_label_problems(rows: Sequence[Row], *, multilabel: bool) -> list[Finding]:
    """Return findings on the names of the classes of rows, for an import or a folder that is none yet."""
    counts = Counter(name for row in rows for name in row.labels or ())
    messages = list(describe(counts, multilabel=multilabel))
    findings = [Finding(code, "warning", ".", None, message) for code, message in messages]
    note = rare_classes(counts)
    return [*findings, Finding("class-imbalance", "note", ".", None, note)] if note else findings
