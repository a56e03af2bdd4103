"""The state of the longest loan fits what Temporal takes, also twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from domain.loans.account import LoanAccount
from domain.loans.allocation import Strategy
from domain.loans.frequency import Frequency
from domain.loans.loan import Loan
from domain.loans.receipts import Receipt, receive
from domain.loans.terms import MAX_INSTALMENTS
from tests.support.loan_world import START, application, terms
from workflows.loans.messages import LoanOrder, LoanState
from workflows.loans.state import carried, hand_on

REFUSED_BYTES = 2 * 1024 * 1024
CONVERTER = pydantic_data_converter.payload_converter


def state_of(instalments: int) -> LoanState:
    """A weekly loan after a few repayments, with the account to return to after a write-off."""
    agreed = terms(principal=50_000_000, instalments=instalments, every=Frequency.parse("1 week"))
    account = LoanAccount.open(agreed)
    for week in range(1, 4):
        receipt = Receipt(account.instalments[week].total_unpaid, START + timedelta(weeks=week), f"pay_{week}", "b")
        account, _ = receive(account, receipt, Strategy())
    return LoanState(Loan.apply(application(terms=agreed), START), account, before_write_off=account)


@pytest.mark.parametrize("instalments", [6, MAX_INSTALMENTS])
def test_a_state_is_handed_on_as_it_was_and_stays_small(instalments: int) -> None:
    state = state_of(instalments)
    order = LoanOrder(state.loan.application, payment_task_queue="payments")
    (payload,) = CONVERTER.to_payloads([hand_on(order, state, CONVERTER)])
    assert len(payload.data) < REFUSED_BYTES / 4
    (read,) = CONVERTER.from_payloads([payload], [LoanOrder])
    assert carried(read, CONVERTER) == state
    assert read.payment_task_queue == "payments"
    assert (read.packed is None) == (instalments == 6)


def test_a_new_loan_carries_nothing() -> None:
    assert carried(LoanOrder(application()), CONVERTER) is None
