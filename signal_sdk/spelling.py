"""Documented names: each method of the API has its PEP 8 name and the one that is documented.

Owns: how an override in either spelling counts for both. Must not know any name: the classes spell
their aliases out (`channelJoin = channel_join`), so that type checkers and editors see them.
"""

from __future__ import annotations

import difflib
import warnings
from typing import Any, ClassVar, Final

__all__ = ["DocumentedNames"]

LIKENESS: Final = 0.8
"""How like a callback's name another one has to be to be taken for a misspelling of it."""
PLAIN_LIKENESS: Final = 0.9
"""How like, where it is written as no callback is: many words begin with these two letters."""


class DocumentedNames:
    """What every class of the API derives from: two spellings, one method.

    A class body that says `channelJoin = channel_join` makes the two names one. A subclass that
    overrides either has overridden both, wherever in its bases the override stands; overriding both
    with different functions in one class raises `TypeError`, since only one of them could be
    called. A method whose name is nearly that of a callback, in whatever case, and which nobody
    would call, is a warning when its class is made.
    """

    documented_names: ClassVar[dict[str, str]] = {}
    """The documented name of each method, by its PEP 8 name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherited: dict[str, str] = {}
        for base in cls.__mro__[1:]:
            inherited |= vars(base).get("documented_names", {})
        cls.documented_names = inherited | _aliases(cls)
        for name, documented in inherited.items():
            _unite(cls, name, documented)
        _warn_of_misspelt(cls)


def _warn_of_misspelt(cls: type[DocumentedNames]) -> None:
    """Warn, where `cls` is made, of methods that look like callbacks and are none."""
    ours = [base for base in cls.__mro__[1:] if DocumentedNames in base.__bases__]
    known = {name for base in ours for name in vars(base) if _is_callback(name)}
    bare = {_bare(name): name for name in known if not _is_documented(name)}
    for name, value in vars(cls).items():
        if name in known or not name.lower().startswith("on") or not callable(value):
            continue
        cutoff = LIKENESS if _is_callback(name) else PLAIN_LIKENESS
        for like in difflib.get_close_matches(_bare(name), bare, n=1, cutoff=cutoff):
            meant = bare[like]
            if _is_documented(name):
                meant = cls.documented_names.get(meant, meant)
            text = f"{cls.__qualname__}.{name} is no callback, and is never called: is it {meant}?"
            warnings.warn(text, stacklevel=3)


def _is_callback(name: str) -> bool:
    return name.startswith("on_") or (name.startswith("on") and name[2:3].isupper())


def _bare(name: str) -> str:
    return name.replace("_", "").lower()


def _is_documented(name: str) -> bool:
    return not name.startswith("_") and name != name.lower()


def _aliases(cls: type) -> dict[str, str]:
    """The pairs in a class body: two names of one function, one of them with capitals."""
    functions = {
        id(value): name
        for name, value in vars(cls).items()
        if callable(value) and not isinstance(value, type) and not _is_documented(name)
    }
    return {
        functions[id(value)]: name
        for name, value in vars(cls).items()
        if _is_documented(name) and id(value) in functions
    }


def _unite(cls: type, name: str, documented: str) -> None:
    """Make both names of `cls` stand for whichever override comes first among its bases."""
    for base in cls.__mro__:
        own = vars(base)
        if name in own and documented in own:
            if own[name] is not own[documented]:
                both = f"{name} and {documented}"
                raise TypeError(f"{base.__qualname__} defines both {both}, which are one method")
            found = own[name]
        elif name in own:
            found = own[name]
        elif documented in own:
            found = own[documented]
        else:
            continue
        for spelling in (name, documented):
            if _inherited(cls, spelling) is not found:
                setattr(cls, spelling, found)
        return


def _inherited(cls: type, name: str) -> object:
    """What `cls` has under `name`, as it stands in the class body that it comes from."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
