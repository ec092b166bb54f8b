"""What can go wrong with a zoo. Every message says what to do next."""

from __future__ import annotations


class ZooError(Exception):
    """Anything a reader of a zoo may have to handle."""

    # KeyError, a base of some of these, would print its message in quotes.
    __str__ = Exception.__str__


class ZooNotFound(ZooError, FileNotFoundError):
    """There is no zoo at this path."""


class HubError(ZooError):
    """The Hub, or this machine's cache of it, did not give what was asked for; it may later.

    Attributes:
        retry_after: seconds the Hub asked to be left alone for, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownGrid(ZooError, KeyError):
    """The zoo has no grid of this name; the message suggests the nearest."""


class UnknownModel(ZooError, KeyError):
    """The zoo has no model of this id.

    Attributes:
        model_id: what was asked for.
        suggestions: the nearest ids there are, best first.
    """

    def __init__(self, message: str, model_id: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.model_id = model_id
        self.suggestions = suggestions


class NoTrajectory(ZooError, KeyError):
    """The model exists, but its training trajectory was not kept."""


class CorruptZoo(ZooError):
    """A file is missing, damaged, or is not what the manifest says; the message names it."""


class UnknownSchema(CorruptZoo):
    """The zoo was written in a format this version of the code does not know."""
