"""The ways to run a payment's steps on Temporal that are priced against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from infra.bench.variant_workflow import Recipe


class Start(StrEnum):
    """How a workflow is started and its outcome learned."""

    EAGER = "eager"
    PLAIN = "plain"
    UPDATE = "update"
    """Update-with-Start: the update's answer is the outcome."""


class Wiring(StrEnum):
    """What the client and its worker are made with."""

    BARE = "bare"
    PYDANTIC = "pydantic"
    TRACED = "traced"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way; `labelled` starts it with search attributes, a summary and details, as payments are."""

    recipe: Recipe = field(default_factory=Recipe)
    start: Start = Start.EAGER
    wiring: Wiring = Wiring.BARE
    labelled: bool = False


VARIANTS: Mapping[str, Variant] = {
    "empty, eager start": Variant(),
    "empty, plain start": Variant(start=Start.PLAIN),
    "empty, Update-with-Start": Variant(start=Start.UPDATE),
    "empty, labelled": Variant(labelled=True),
    "empty, attribute upserted": Variant(Recipe(attributes=True)),
    "empty, pydantic converter": Variant(wiring=Wiring.PYDANTIC),
    "empty, traced": Variant(wiring=Wiring.TRACED),
    "1 local": Variant(Recipe(local_steps=1)),
    "3 local": Variant(Recipe(local_steps=3)),
    "3 local, together": Variant(Recipe(local_steps=3, together=True)),
    "3 local, with details": Variant(Recipe(local_steps=3, details=True)),
    "Update-with-Start, 3 local": Variant(Recipe(local_steps=3), Start.UPDATE),
    "1 ordinary": Variant(Recipe(ordinary_steps=1)),
    "Update-with-Start, 1 ordinary between 2 local": Variant(Recipe(2, 1), Start.UPDATE),
    "eager start, 1 ordinary between 2 local": Variant(Recipe(2, 1)),
    "3 ordinary": Variant(Recipe(ordinary_steps=3)),
    "as a payment": Variant(Recipe(2, 1, attributes=True, details=True), Start.UPDATE, Wiring.TRACED, labelled=True),
    "as a payment, all local": Variant(
        Recipe(3, attributes=True, details=True), Start.UPDATE, Wiring.TRACED, labelled=True
    ),
}
