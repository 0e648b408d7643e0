"""Which known setting an unknown one may stand for."""

from collections.abc import Iterable, Sequence

from s4mi.errors import closest


def hint(setting: str, known: Sequence[str]) -> str:
    """Suggest a known setting for an unknown one, as the end of a message; empty if there is none.

    A name that is known was written as one key with dots, which only overrides may have.

    Else, in order of preference: a similar name at the top level (if `setting` is at the top level), the same name in
    another section, a similar name in the same section, its initials or the words they stand for (`learning_rate` and
    `lr`).
    """
    section, _, last = setting.rpartition(".")
    if section and setting in known:  # one key with dots, as overrides have them
        return f"; in a file, a section has its settings inside: {section}: {{{last}: …}}"
    # A setting of another method may have the name of one that every run has, which wins.
    by_section = sorted(known, key=lambda name: name.startswith("method."))
    names = {name.rpartition(".")[2]: name for name in reversed(by_section)}
    siblings = {name.rpartition(".")[2]: name for name in known if not section or name.rpartition(".")[0] == section}
    if section and not siblings:  # a section that the user has named, such as one of several data sets
        names = siblings = {name: name for name in names}
    misspelt = "" if section else closest(last, [name for name in known if "." not in name], cutoff=0.8)
    near = closest(last, siblings) or _abbreviated(last, siblings) or ""
    found = misspelt or names.get(last) or siblings.get(near) or names.get(_abbreviated(last, names) or "")
    return f"; did you mean {found!r}?" if found else ""


def innermost(setting: str, value: object) -> str:
    """The first setting inside an unknown section, which says more than the section: `train.epochs` of `train`."""
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        setting = f"{setting}.{key}"
    return setting


def _abbreviated(name: str, known: Iterable[str]) -> str | None:
    """The known name that consists of the initials of `name`, or whose initials are `name`."""
    return next((each for each in known if name in (each, _initials(each)) or each == _initials(name)), None)


def _initials(name: str) -> str:
    """`lr` of `learning_rate`; empty for a single word."""
    words = [word for word in name.split("_") if word]
    return "".join(word[0] for word in words) if len(words) > 1 else ""
