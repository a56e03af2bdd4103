"""Prepares a Temporal namespace: that it exists, how long it keeps closed workflows, and its search attributes.

Invariant: running it again changes nothing, on the development server and on a cluster alike. `python -m
infra.temporal_namespace` does it for the namespace in the settings; the local stack and the compose file both use it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from infra.settings import Settings, get_settings

# A namespace on SQL visibility holds 10 Keyword attributes and 3 each of Int, Bool and Datetime: payments and loans
# share these. Amounts are minor units of the workflow's Currency.
SEARCH_ATTRIBUTES: Mapping[str, str] = {
    "PaymentStatus": "Keyword",
    "Amount": "Int",
    "Currency": "Keyword",
    "AccountId": "Keyword",
    "GatewayName": "Keyword",
    "NeedsReview": "Bool",
    "LoanStatus": "Keyword",
    "DaysPastDue": "Int",
    "NextDueOn": "Datetime",
    "Outstanding": "Int",
}
RETENTION = timedelta(days=365)
CONNECT_RETRY_INTERVAL_S = 0.1
VISIBLE_TIMEOUT_S = 60.0
VISIBLE_INTERVAL_S = 0.1
RPC_TIMEOUT = timedelta(seconds=10)

_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Bool": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


class NamespaceError(Exception):
    """The namespace cannot be made ready; the message says why."""


async def connect(settings: Settings) -> Client:
    """Connect to Temporal, trying again while it starts; raises `NamespaceError` after the bound in the settings."""
    deadline = time.monotonic() + settings.temporal_connect_timeout_s
    while True:
        try:
            return await Client.connect(
                settings.temporal_address,
                namespace=settings.temporal_namespace,
                api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
                tls=settings.temporal_tls,
            )
        except RuntimeError as error:  # what the SDK raises when there is nobody to talk to
            if time.monotonic() > deadline:
                raise NamespaceError(f"Temporal at {settings.temporal_address} does not answer: {error}") from error
            await asyncio.sleep(CONNECT_RETRY_INTERVAL_S)


async def prepare_namespace(client: Client) -> None:
    """Make the client's namespace, its retention and its search attributes as they must be, and wait until they are.

    Raises `NamespaceError` when an attribute exists with another type or does not appear in time, `RPCError` when the
    server refuses.
    """
    await _ensure_namespace(client)
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    added = False
    while True:
        try:
            missing = await missing_search_attributes(client)
            if not missing:
                return
            if not added:
                await add_search_attributes(client, missing)
                added = True
            reason = f"search attributes {', '.join(missing)} did not appear"
        except RPCError as error:  # a server learns of a new namespace only when it next reads the list of them
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            reason = f"namespace {client.namespace} did not appear"
        if time.monotonic() > deadline:
            raise NamespaceError(f"{reason} within {VISIBLE_TIMEOUT_S:g} s")
        await asyncio.sleep(VISIBLE_INTERVAL_S)


async def missing_search_attributes(client: Client) -> dict[str, str]:
    """Return name and type of each attribute that is not registered; raises `NamespaceError` on one of another type."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), retry=True, timeout=RPC_TIMEOUT
    )
    present = dict(answer.custom_attributes)
    for name, kind in SEARCH_ATTRIBUTES.items():
        if name in present and present[name] != _TYPES[kind]:
            raise NamespaceError(
                f"search attribute {name} of namespace {client.namespace} is {IndexedValueType.Name(present[name])}, "
                f"and must be {kind}: remove it with `temporal operator search-attribute remove --name {name}`"
            )
    return {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in present}


async def add_search_attributes(client: Client, missing: Mapping[str, str]) -> None:
    """Register search attributes, each by its name with its type; raises `RPCError` when the server refuses."""
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes={name: _TYPES[kind] for name, kind in missing.items()},
        ),
        timeout=RPC_TIMEOUT,
    )


async def _ensure_namespace(client: Client) -> None:
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    service = client.workflow_service
    try:
        found = await service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), retry=True, timeout=RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        await service.register_namespace(
            RegisterNamespaceRequest(
                namespace=client.namespace,
                description="Clearhold: payments and loans",
                workflow_execution_retention_period=retention,
            ),
            timeout=RPC_TIMEOUT,
        )
        return
    if found.config.workflow_execution_retention_ttl.ToTimedelta() != RETENTION:
        await service.update_namespace(
            UpdateNamespaceRequest(
                namespace=client.namespace,
                config=NamespaceConfig(workflow_execution_retention_ttl=retention),
            ),
            timeout=RPC_TIMEOUT,
        )


async def main() -> int:
    """Prepare the namespace of the settings; the exit status is 0 when it is ready."""
    settings = get_settings()
    try:
        client = await connect(settings)
        await prepare_namespace(client)
    except (NamespaceError, RPCError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"namespace {settings.temporal_namespace} at {settings.temporal_address} is ready\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
