"""Errors that refuse what one asks of an error."""

from __future__ import annotations

from typing import Any, NoReturn


class UnshowableError(Exception):
    """Refuses all that an exception may be asked for."""

    def fail(self, *_: object) -> Any:
        raise RuntimeError("unshowable")

    __str__ = __repr__ = __bool__ = __getattr__ = fail


class Nameless(type):
    """A class that refuses to say its name."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise SystemExit("nameless")


class NamelessError(Exception, metaclass=Nameless):
    pass


def shy(error: type[BaseException]) -> Exception:
    """An exception whose text raises that."""

    class ShyError(Exception):
        def __str__(self) -> NoReturn:
            raise error("no")

    return ShyError()
