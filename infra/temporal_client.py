"""The connection to Temporal that API and workers share: same converter, same interceptors, same trace.

Invariant: it is made after a fork and inside a running event loop, never at import.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import GrpcCompression

from infra.sampled_tracing import SampledTracing
from infra.settings import Settings
from infra.temporal_converter import data_converter


def runtime_with_metrics(host: str, port: int) -> Runtime | None:
    """Return a runtime that serves the SDK's metrics, and ours, to Prometheus there; None for port 0."""
    if port == 0:
        return None
    return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=f"{host}:{port}")))


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """Connect once. Raises RuntimeError when Temporal does not answer."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
        tls=settings.temporal_tls,
        data_converter=data_converter,
        interceptors=[SampledTracing()],
        runtime=runtime,
        grpc_compression=compression(settings),
    )


def compression(settings: Settings) -> GrpcCompression:
    """Return how calls to Temporal are compressed; the SDK's own default is gzip, in both directions."""
    return GrpcCompression.GZIP if settings.temporal_compression else GrpcCompression.NONE


def rpc_timeout(settings: Settings) -> timedelta:
    """Return the bound of one call to Temporal."""
    return timedelta(seconds=settings.temporal_rpc_timeout_s)
