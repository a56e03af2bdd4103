"""Payloads are those of the SDK's own Pydantic converter, and their adapters are made once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import WorkflowSerializationContext

from domain.payments.payment import CaptureMethod, Payment, PaymentKind
from domain.payments.record import PaymentRecord, TimelineEvent
from infra.temporal_converter import SharedPayloadConverter, _adapter, data_converter
from workflows.payments.messages import ConfirmPayment, PaymentOrder

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
PAYMENT = Payment(
    "default", "pay_1", PaymentKind.CARD, 2933, "USD", CaptureMethod.MANUAL, "clearing", "merchant", NOW,
    metadata={"order": "ä-1"},
)  # fmt: skip
RECORD = PaymentRecord(PAYMENT, (TimelineEvent("k", "n", "t", NOW, "pay_1"),), check_limits=True)
VALUES: list[Any] = [
    PAYMENT, RECORD, PaymentOrder(PAYMENT), ConfirmPayment("tok"), None, b"bytes", 3, "text", [1, "a"],
    {"a": "1.10"}, Decimal("1.10"), date(2026, 2, 28),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_becomes_the_payload_that_the_sdk_makes_and_comes_back(value: Any) -> None:
    ours, theirs = data_converter.payload_converter, pydantic_data_converter.payload_converter
    assert ours.to_payloads([value]) == theirs.to_payloads([value])
    payloads = ours.to_payloads([value])
    assert ours.from_payloads(payloads, [type(value)]) == theirs.from_payloads(payloads, [type(value)]) == [value]
    assert ours.from_payloads(payloads) == theirs.from_payloads(payloads)


def test_a_payload_of_another_shape_is_refused() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b'{"payment": 1}')
    with pytest.raises(ValidationError):
        data_converter.payload_converter.from_payloads([payload], [PaymentOrder])


def test_converters_made_for_each_workflow_share_the_adapters() -> None:
    payloads = SharedPayloadConverter().to_payloads([PAYMENT])
    for _ in range(3):
        converter = SharedPayloadConverter().with_context(WorkflowSerializationContext("default", "pay_1"))
        before = _adapter.cache_info().misses
        assert converter.from_payloads(payloads, [Payment]) == [PAYMENT]
    assert _adapter.cache_info().misses == before
