"""Objects of the API raise errors of the operating system and lack of memory as `S4miError`, as its functions do."""

from functools import cached_property
from inspect import isfunction, isgeneratorfunction

from s4mi.system_errors import system_errors

SPECIAL = frozenset({"__init__", "_repr_html_"})


def guard_methods(cls: type) -> None:
    """Let the public methods and properties of a class, in place, raise such errors in one line."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_") and name not in SPECIAL:
            continue
        if isfunction(member) and not isgeneratorfunction(member):
            setattr(cls, name, system_errors()(member))
        elif isinstance(member, property) and member.fget is not None:
            setattr(cls, name, property(system_errors()(member.fget), member.fset, member.fdel, member.__doc__))
        elif isinstance(member, cached_property):
            member.func = system_errors()(member.func)
