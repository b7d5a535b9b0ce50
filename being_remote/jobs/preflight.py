"""Refuse a job that cannot run on its host before anything is written down or sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from being_remote.errors import HostNotReady
from being_remote.inventory import LocalHost, SshHost
from being_remote.jobs.recipe import FindRecipe
from being_remote.jobs.spec import JobSpec
from being_remote.session import Session


class FindObstacles(Protocol):
    """Says why a job cannot run on a host, in doctor's sentences: one round trip at most."""

    def __call__(
        self, session: Session, host: SshHost | LocalHost, *, gpus: int, tools: Collection[str]
    ) -> Sequence[str]: ...


class Preflight:
    """The check before a job is sent.

    Args:
        find_recipe: knows which tools a job needs.
        find_obstacles: None: the user said --force, so that nothing is checked.
    """

    def __init__(self, find_recipe: FindRecipe, find_obstacles: FindObstacles | None) -> None:
        self._find_recipe, self._find_obstacles = find_recipe, find_obstacles

    def check(
        self, session: Session, host: SshHost | LocalHost, *specs: JobSpec, ran_there: bool = False
    ) -> None:
        """See that each of these jobs can run on the host, in one round trip.

        Args:
            ran_there: they ran on it before, so that their tools are not looked at.

        Raises:
            HostNotReady: one of them cannot.
            HostError: no answer.
        """
        if self._find_obstacles is None or not specs:
            return
        tools: set[str] = set()
        if not ran_there:
            tools.update(tool for spec in specs for tool in self._find_recipe(spec.recipe).tools(spec))
        gpus = max(spec.gpus for spec in specs)
        obstacles = self._find_obstacles(session, host, gpus=gpus, tools=tools)
        if obstacles:
            raise HostNotReady(obstacles, host=host.name)
