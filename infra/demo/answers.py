"""What an answer must be for the demonstration to go on, and what is said when it is not.

Invariant: whatever a call is answered with, what was expected of it is said by the call's name; no answer ends in another error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import httpx

SHOWN = 300
"""Characters of an unexpected answer that are shown."""

Choice = TypeVar("Choice", bound=StrEnum)


class UnexpectedAnswer(Exception):
    """A call was answered with something that the demonstration did not expect."""

    def __init__(self, call: str, expected: str, seen: object) -> None:
        super().__init__(f"{call}: expected {expected}, saw {str(seen)[:SHOWN]}")
        self.call, self.expected, self.seen = call, expected, seen


class Answer(dict[str, Any]):
    """An object of an answer, which knows the call it came from."""

    def __init__(self, call: str, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.call = call

    def __missing__(self, name: str) -> Any:
        raise UnexpectedAnswer(self.call, f"a field `{name}`", dict(self))

    def within(self, name: str) -> Answer:
        """Return an object that must be there, and not null."""
        found = self[name]
        if not isinstance(found, Answer):
            raise UnexpectedAnswer(self.call, f"an object `{name}`", found)
        return found

    def each(self, name: str) -> list[Answer]:
        """Return a list of objects that must be there."""
        found = self[name]
        if not isinstance(found, list) or not all(isinstance(item, Answer) for item in found):
            raise UnexpectedAnswer(self.call, f"a list of objects `{name}`", found)
        return found

    def number(self, name: str) -> int:
        """Return a whole number that must be there."""
        found = self[name]
        if not isinstance(found, int):
            raise UnexpectedAnswer(self.call, f"a whole number `{name}`", found)
        return found

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """Return a field as one of the values that it may have."""
        found = self[name]
        if found not in [*choices]:
            raise UnexpectedAnswer(self.call, f"`{name}` as one of {', '.join(choices)}", found)
        return choices(found)


def call_of(response: httpx.Response) -> str:
    """Return what was called, for a message."""
    return f"{response.request.method} {response.request.url.path}"


def read(response: httpx.Response) -> Answer:
    """Return the object that a call is answered with, also where it is a refusal. Raises UnexpectedAnswer when it is none."""
    call = call_of(response)
    try:
        found = json.loads(response.content, object_hook=lambda content: Answer(call, content))
    except ValueError:
        found = None
    if not isinstance(found, Answer):
        raise UnexpectedAnswer(call, "a JSON object", f"{response.status_code}: {response.text}")
    return found


def expect_success(response: httpx.Response) -> Answer:
    """Return the object that a call succeeds with. Raises UnexpectedAnswer when it does not."""
    if not response.is_success:
        raise UnexpectedAnswer(call_of(response), "a success", f"{response.status_code}: {response.text}")
    return read(response)
