"""Values to and from Temporal's payloads: Pydantic's JSON, as the SDK's own converter writes it.

Invariant: the bytes are those of `temporalio.contrib.pydantic`. The difference is that type adapters are made once per process:
the SDK makes a converter per workflow, and with each of them an empty cache, which cost a tenth of a worker's time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Self

from pydantic import TypeAdapter
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    SerializationContext,
)

MAX_ADAPTERS = 1_024
"""Types that payloads are made of: a few dozen in fact."""


@lru_cache(maxsize=MAX_ADAPTERS)
def _adapter(type_hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_hint)


class SharedJsonConverter(PydanticJSONPlainPayloadConverter):
    """JSON by Pydantic, over the adapters of this process."""

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Return the value as the hinted type. Raises pydantic.ValidationError."""
        hint: Any = Any if type_hint is None else type_hint
        return _adapter(hint).validate_json(payload.data)


_CONVERTERS: dict[bytes, EncodingPayloadConverter] = {
    each.encoding.encode(): SharedJsonConverter() if isinstance(each, JSONPlainPayloadConverter) else each
    for each in DefaultPayloadConverter.default_encoding_payload_converters
}


class SharedPayloadConverter(CompositePayloadConverter):
    """The SDK's default converters, with JSON as above. None of them depends on what a payload is for, so all share them."""

    def __init__(self) -> None:
        """Take the shared ones: the SDK makes an instance for each workflow task."""
        self.converters = _CONVERTERS

    def with_context(self, context: SerializationContext) -> Self:  # noqa: ARG002 - no converter asks for it
        """Return this converter."""
        return self


class SharedDataConverter(DataConverter):
    """Nothing of it depends on whose payload it is, so it is never copied: the SDK would, for each command of each task."""

    def with_context(self, context: SerializationContext) -> Self:  # noqa: ARG002 - as above
        """Return this converter."""
        return self


data_converter = SharedDataConverter(payload_converter_class=SharedPayloadConverter)
"""What clients, workers and replay share."""
