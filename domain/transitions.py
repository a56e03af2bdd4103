"""A transition table: which action leads from which state to which.

Invariant: an action that the table does not list raises IllegalTransition; nothing falls through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from domain.errors import IllegalTransition

State = TypeVar("State", bound=StrEnum)
Action = TypeVar("Action", bound=StrEnum)


class TransitionTable(Generic[State, Action]):
    """The legal moves of one kind of thing, from `(state, action, next state)` rows."""

    def __init__(self, kind: str, rows: Iterable[tuple[State, Action, State]]) -> None:
        self.kind = kind
        self._next: Mapping[tuple[State, Action], State] = {(state, action): after for state, action, after in rows}

    def rows(self) -> list[tuple[State, Action, State]]:
        """Return every legal move."""
        return [(state, action, after) for (state, action), after in self._next.items()]

    def allows(self, state: State, action: Action) -> bool:
        """Tell whether the action is legal in the state."""
        return (state, action) in self._next

    def after(self, state: State, action: Action) -> State:
        """Return the next state, or raise IllegalTransition."""
        try:
            return self._next[state, action]
        except KeyError:
            raise IllegalTransition(self.kind, state, action) from None
