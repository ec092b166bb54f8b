"""A zoo on the Hub for an app with many readers, none of whom is to wait for the Hub."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import HubError, ZooError
from zoo.hub import HubSource, hub_place, quieten
from zoo.reading import Zoo
from zoo.waiting import PAUSE, Jobs

PATIENCE = 8.0
"""Seconds that a reader waits for the Hub, at most, before something else is shown."""

FILE_PATIENCE = 20.0
"""The same for one file of a grid, which the page cannot do without."""


@dataclass(frozen=True)
class Shown:
    """The zoo that readers see now.

    Attributes:
        notice: why it is not the one that was asked for, and what it is instead; None if it is.
    """

    zoo: Zoo
    notice: str | None = None


class SharedZoo:
    """The zoo of one place on the Hub, or the best there is instead of it.

    The Hub is asked once for all readers. Where it does not answer, or has no such zoo, the copy
    that was fetched earlier is shown, else the embedded zoo; and after a while the Hub is asked
    again, in the background. Once it has answered, its commit is the one that is shown for as
    long as the app runs.
    """

    def __init__(
        self,
        place: str,
        *,
        patience: float = PATIENCE,
        file_patience: float = FILE_PATIENCE,
        pause: float = PAUSE,
    ) -> None:
        """A place that is written as `hub_place` reads it.

        Raises:
            ZooNotFound: if it is not.
        """
        self.place = place
        self._repo_id, self._revision = hub_place(place)
        self._file_patience = file_patience
        self._jobs = Jobs(patience, pause)
        self._asked = False
        self._zoo: Zoo | None = None
        self._current = False

    def now(self) -> Shown:
        """What to show a reader who comes now. Raises nothing, and takes seconds at most."""
        if self._zoo is not None and self._current:
            return Shown(self._zoo)
        try:
            return Shown(self._jobs.result(self._repo_id, self._open, patient=not self._asked))
        except ZooError as error:
            why = str(error)
        self._asked = True
        if self._zoo is None:
            self._zoo = self._earlier()
        instead = "the zoo that comes with the app"
        if self._zoo is not None:
            instead = f"what was fetched earlier, `{self._zoo.place}`"
        notice = (
            f"This is {instead}, not `{self.place}` as the Hub has it: {why}. The Hub is asked "
            f"again after {self._jobs.pause:g} seconds."
        )
        return Shown(self._zoo or Zoo.open(), notice)

    def _open(self) -> Zoo:
        quieten()
        source = HubSource.resolve(self._repo_id, self._revision, patience=self._file_patience)
        zoo = Zoo(source, source.manifest())
        self._zoo = zoo
        if source.unreached is not None:
            raise HubError(source.unreached)
        self._current = True
        return zoo

    def _earlier(self) -> Zoo | None:
        """What the cache has of it, without asking anyone."""
        try:
            source = HubSource.resolve(
                self._repo_id, self._revision, offline=True, patience=self._file_patience
            )
            return Zoo(source, source.manifest())
        except ZooError:
            return None
