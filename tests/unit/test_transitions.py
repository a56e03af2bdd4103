"""What is refused because of a state is said in words."""

from __future__ import annotations

import ast
import re

import pytest

from domain.errors import IllegalTransition
from domain.loans.status import LoanAction, LoanStatus, transition
from domain.payments.refund import REFUND_TRANSITIONS, RefundStatus
from domain.payments.status import OPERATION_TRANSITIONS, PAYMENT_TRANSITIONS, OperationStatus, PaymentStatus
from domain.transitions import Action, TransitionTable
from tests.architecture.source import name, python_files, tree_of

WORDS = re.compile(r"[a-z]+(?:[ -][a-z]+)*")


def _actions() -> list[Action]:
    return [action for kind in Action.__subclasses__() for action in kind]


def test_every_action_has_words_of_its_own_and_keeps_its_stable_name() -> None:
    assert len(Action.__subclasses__()) >= 4
    for action in _actions():
        assert WORDS.fullmatch(action.words), action
        assert type(action)(action.value) is action
        assert action == action.value == action.name.lower()
    for kind in Action.__subclasses__():
        assert len({action.words for action in kind}) == len(list(kind)), kind


@pytest.mark.parametrize(
    ("table", "states"),
    [
        (PAYMENT_TRANSITIONS, PaymentStatus),
        (OPERATION_TRANSITIONS, OperationStatus),
        (REFUND_TRANSITIONS, RefundStatus),
    ],
    ids=["payment", "operation", "refund"],
)
def test_a_move_that_a_table_does_not_list_is_refused_in_words(
    table: TransitionTable[PaymentStatus, Action], states: type[PaymentStatus]
) -> None:
    actions = {action for _, action, _ in table.rows()}
    for state in states:
        for action in actions:
            if not table.allows(state, action):
                with pytest.raises(IllegalTransition, match=rf"that is {state} cannot {action.words}\."):
                    table.after(state, action)


def test_a_loan_refuses_in_words() -> None:
    with pytest.raises(IllegalTransition, match=r"A loan that is draft cannot be repaid\."):
        transition(LoanStatus.DRAFT, LoanAction.REPAY_IN_FULL)


def test_what_is_written_into_a_refusal_by_hand_is_words_too() -> None:
    written = []
    for path in python_files("domain", "workflows", "api"):
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.Call(func=ast.Name(id="IllegalTransition"), args=[_, _, ast.Constant(value=str(said))]):
                    written.append((name(path), said))
                case ast.Call(
                    func=ast.Attribute(attr="require_status"),
                    keywords=[ast.keyword(value=ast.Constant(value=str(said)))],
                ):
                    written.append((name(path), said))
                case ast.Call(
                    func=ast.Name(id="LoanAction" | "PaymentCommand"), args=[ast.Constant(value=str(said)), *_]
                ):
                    written.append((name(path), said))
    assert len(written) > 30
    assert [each for each in written if not WORDS.fullmatch(each[1])] == []
