"""A transition table: which action leads from which state to which.

Invariant: an action that the table does not list raises IllegalTransition, whose message says the action in words; nothing falls
through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, Self, TypeVar

from domain.errors import IllegalTransition


class Action(StrEnum):
    """What moves a thing from state to state: a stable name, and the words that follow "cannot" when it is refused."""

    _value_: str
    words: str

    def __new__(cls, name: str, words: str) -> Self:
        """Make a member of its name and its words."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.words = words
        return member


State = TypeVar("State", bound=StrEnum)
Move = TypeVar("Move", bound=Action)


class TransitionTable(Generic[State, Move]):
    """The legal moves of one kind of thing, from `(state, action, next state)` rows."""

    def __init__(self, kind: str, rows: Iterable[tuple[State, Move, State]]) -> None:
        self.kind = kind
        self._next: Mapping[tuple[State, Move], State] = {(state, action): after for state, action, after in rows}

    def rows(self) -> list[tuple[State, Move, State]]:
        """Return every legal move."""
        return [(state, action, after) for (state, action), after in self._next.items()]

    def allows(self, state: State, action: Move) -> bool:
        """Tell whether the action is legal in the state."""
        return (state, action) in self._next

    def after(self, state: State, action: Move) -> State:
        """Return the next state, or raise IllegalTransition."""
        try:
            return self._next[state, action]
        except KeyError:
            raise IllegalTransition(self.kind, state, action.words) from None
