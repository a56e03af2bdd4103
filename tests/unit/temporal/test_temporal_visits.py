"""Payloads are gone through where a codec or a storage has something to do with them, and only there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from inspect import iscoroutinefunction, signature

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.bridge import worker as bridge
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import DataConverter, PayloadCodec

from infra.temporal_converter import data_converter
from infra.temporal_visits import NAMES, skip_idle_visits

Visit = Callable[[DataConverter], Awaitable[bytes]]


class Reversed(PayloadCodec):
    """A codec whose work can be seen."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata=each.metadata, data=each.data[::-1]) for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self.encode(payloads)


@pytest.fixture(autouse=True)
def skipping(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setattr(bridge, name, getattr(bridge, name))
    skip_idle_visits()


def activation() -> WorkflowActivation:
    made = WorkflowActivation(run_id="run")
    made.jobs.add().initialize_workflow.arguments.add(data=b"abc")
    return made


def completion() -> WorkflowActivationCompletion:
    made = WorkflowActivationCompletion(run_id="run")
    made.successful.commands.add().complete_workflow_execution.result.data = b"abc"
    return made


async def decoded(converter: DataConverter) -> bytes:
    message = activation()
    await bridge.decode_activation(message, converter, decode_headers=True, storage_concurrency_limit=1)
    return message.jobs[0].initialize_workflow.arguments[0].data


async def encoded(converter: DataConverter) -> bytes:
    message = completion()
    await bridge.encode_completion(message, converter, encode_headers=True, storage_concurrency_limit=1)
    return message.successful.commands[0].complete_workflow_execution.result.data


@pytest.mark.parametrize("visit", [decoded, encoded])
@pytest.mark.parametrize(
    ("converter", "data"), [(data_converter, b"abc"), (replace(data_converter, payload_codec=Reversed()), b"cba")]
)
async def test_a_payload_is_changed_by_its_codec_and_by_nothing_else(
    visit: Visit, converter: DataConverter, data: bytes
) -> None:
    assert await visit(converter) == data


async def test_without_codec_and_storage_nothing_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise AssertionError("gone through")

    monkeypatch.setattr(bridge, "CommandAwarePayloadVisitor", fail)
    assert await decoded(data_converter) == await encoded(data_converter) == b"abc"
    stored = replace(data_converter)
    object.__setattr__(stored, "external_storage", object())
    for busy in (replace(data_converter, payload_codec=Reversed()), stored):
        with pytest.raises(AssertionError, match="gone through"):
            await decoded(busy)
        with pytest.raises(AssertionError, match="gone through"):
            await encoded(busy)


@pytest.mark.parametrize("name", NAMES)
def test_the_sdk_still_has_the_functions_that_are_wrapped(name: str) -> None:
    """A newer SDK that goes another way makes this fail: look whether it still needs the wrapper."""
    wrapped = getattr(bridge, name).__wrapped__
    assert iscoroutinefunction(wrapped)
    assert list(signature(wrapped).parameters)[1] == "data_converter"
    before = getattr(bridge, name)
    skip_idle_visits()
    assert getattr(bridge, name) is before
