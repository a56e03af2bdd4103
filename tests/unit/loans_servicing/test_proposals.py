"""Two persons, however they write their names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import DomainError
from domain.loans.proposals import (
    MAX_ACTOR,
    Proposal,
    ProposalKind,
    ProposalStatus,
    SecondPersonRequired,
    require_actor,
)

NOW = datetime(2026, 1, 15, tzinfo=UTC)


def _made_by(maker: str) -> Proposal:
    return Proposal(1, ProposalKind.WRITE_OFF, maker, NOW)


@pytest.mark.parametrize(
    "checker",
    [
        "Ana Strasse",
        "ana strasse",
        "ANA STRASSE",
        " Ana  Strasse\t",
        "Ana Straße",
        "\uff21na Strasse",
        "An\u200ba Strasse",
    ],
)
@pytest.mark.parametrize("approve", [True, False])
def test_the_maker_is_no_second_person_under_any_spelling(checker: str, *, approve: bool) -> None:
    with pytest.raises(SecondPersonRequired):
        _made_by("Ana Strasse").checked(checker, NOW, approve=approve)


@given(st.text(min_size=1, max_size=20), st.sampled_from([str.upper, str.lower, str.title, str.swapcase, str.casefold]))
def test_case_and_blanks_make_nobody_another_person(name: str, change: object) -> None:
    written = f"x{name} y"
    again = f"  {change(written)}  ".replace(" ", "   ")  # type: ignore[operator]
    if again.casefold().split() == written.casefold().split():
        with pytest.raises(SecondPersonRequired):
            _made_by(written).checked(again, NOW, approve=True)


@pytest.mark.parametrize("checker", ["Ben", "Ana Strasse 2", "Anna Strasse", "Strasse Ana"])
def test_another_person_decides(checker: str) -> None:
    assert _made_by("Ana Strasse").checked(checker, NOW, approve=True).status is ProposalStatus.APPROVED


@pytest.mark.parametrize("nobody", ["", "  ", "\u200b", "\u2060 \u00ad", "x" * (MAX_ACTOR + 1)])
def test_a_name_that_cannot_be_read_is_nobodys(nobody: str) -> None:
    with pytest.raises(DomainError):
        require_actor(nobody)
