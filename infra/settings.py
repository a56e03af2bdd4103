"""Every setting of every process, read from `CLEARHOLD_*` environment variables (and `.env` in a checkout).

Invariant: this is the only place that reads configuration. The same code runs on the embedded stack and in production;
nothing but these values tells the two apart. Each bound below is checked when a process starts, so that a wrong value
stops it there and not at three in the morning.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65_535)]
PortOrOff = Annotated[int, Field(ge=0, le=65_535)]
TaskQueue = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]

DEFAULT_DATABASE = "clearhold"
DEFAULT_TEMPORAL_PORT = 7233
DEFAULT_TEMPORAL_UI_PORT = 8233
DEFAULT_BANK_PORT = 8090
DEFAULT_API_PORT = 8080
DEFAULT_POSTGRES_PORT = 5433


class Settings(BaseSettings):
    """The settings of one process.

    Durations end in `_s` and are seconds. A port of 0 turns the thing off that would listen there. Raises
    `pydantic.ValidationError` when a value is missing, malformed or out of its bounds.
    """

    model_config = SettingsConfigDict(
        env_prefix="CLEARHOLD_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    # PostgreSQL -----------------------------------------------------------------------------------------------------
    database_url: str = Field(
        default=f"postgresql://clearhold_app@127.0.0.1:{DEFAULT_POSTGRES_PORT}/{DEFAULT_DATABASE}",
        pattern=r"^postgresql://",
        description="libpq URL of the application role, which can neither alter tables nor rewrite the ledger.",
    )
    owner_database_url: str | None = Field(
        default=None,
        pattern=r"^postgresql://",
        description="libpq URL of the role that owns the schema. Only migrations read it; API and workers go without.",
    )
    database_pool_min: int = Field(default=2, ge=0, le=100, description="Connections kept open by a pool.")
    database_pool_max: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Most connections of a pool: a process has one, an API with a worker in it two.",
    )
    database_pool_waiting_max: int = Field(
        default=500, ge=1, le=10_000, description="Callers that may wait for a connection; the next one is refused."
    )
    database_acquire_timeout_s: float = Field(default=5.0, gt=0, le=60, description="Longest wait for a connection.")
    database_statement_timeout_s: float = Field(
        default=15.0, gt=0, le=600, description="Longest run of one statement; the server cancels it."
    )
    database_lock_timeout_s: float = Field(
        default=10.0, gt=0, le=600, description="Longest wait for a row lock within a statement."
    )

    # Temporal -------------------------------------------------------------------------------------------------------
    temporal_address: str = Field(
        default=f"127.0.0.1:{DEFAULT_TEMPORAL_PORT}", pattern=r"^[^/\s]+:\d{1,5}$", description="gRPC host:port."
    )
    temporal_namespace: str = Field(default="default", min_length=1, max_length=255, description="Namespace to use.")
    temporal_ui_url: str = Field(
        default=f"http://127.0.0.1:{DEFAULT_TEMPORAL_UI_PORT}",
        pattern=r"^https?://",
        description="Base of the links into the Temporal UI, as an operator's browser reaches it.",
    )
    temporal_connect_timeout_s: float = Field(
        default=30.0, gt=0, le=300, description="How long a starting process tries to reach Temporal."
    )
    temporal_rpc_timeout_s: float = Field(default=10.0, gt=0, le=120, description="Bound of one call to Temporal.")
    temporal_tls: bool = Field(default=False, description="Whether the connection to Temporal uses TLS.")
    temporal_api_key: SecretStr | None = Field(default=None, description="API key for a cluster that asks for one.")
    temporal_compression: bool = Field(
        default=False, description="Whether calls to Temporal are compressed: less traffic, for CPU on both sides."
    )
    payment_task_queue: TaskQueue = Field(default="payments", description="Payment workflows and ledger activities.")
    loan_task_queue: TaskQueue = Field(default="loans", description="Loan workflows and their activities.")

    # Worker ---------------------------------------------------------------------------------------------------------
    worker_max_cached_workflows: int = Field(
        default=2_000, ge=0, le=100_000, description="Workflows kept in memory between tasks (the sticky cache)."
    )
    worker_max_workflow_tasks: int = Field(
        default=40,
        ge=2,
        le=2_000,
        description="Workflow tasks at once, of each task queue. More wait their turn at Temporal, where nothing of theirs times "
        "out; too many at once would slow each other down until their time is up.",
    )
    worker_max_activities: int = Field(default=200, ge=1, le=5_000, description="Activities at once.")
    worker_max_local_activities: int = Field(default=200, ge=1, le=5_000, description="Local activities at once.")
    worker_shutdown_grace_s: float = Field(
        default=10.0, ge=0, le=600, description="Time that running activities get after SIGTERM."
    )
    worker_host: str = Field(
        default="127.0.0.1", min_length=1, description="Interface of a worker's health and metrics ports."
    )
    worker_health_port: PortOrOff = Field(
        default=0, description="Where a worker answers /livez and /readyz; 0 turns it off."
    )
    worker_metrics_port: PortOrOff = Field(default=0, description="Prometheus port of a worker; 0 turns it off.")

    # API ------------------------------------------------------------------------------------------------------------
    api_host: str = Field(default="127.0.0.1", min_length=1, description="Interface the API listens on.")
    api_port: Port = Field(default=DEFAULT_API_PORT, description="Port the API listens on.")
    api_public_url: str = Field(
        default=f"http://127.0.0.1:{DEFAULT_API_PORT}", pattern=r"^https?://", description="How clients reach the API."
    )
    api_body_max_bytes: int = Field(
        default=64 * 1024, ge=1_024, le=10 * 1024 * 1024, description="Largest request body; above it 413."
    )
    api_wait_max_s: int = Field(default=30, ge=1, le=120, description="Upper bound of `Prefer: wait=N`.")
    api_wait_default_s: int = Field(default=10, ge=0, le=120, description="The wait when a client names none.")
    api_in_flight_max: int = Field(
        default=128, ge=1, le=10_000, description="Money-moving requests at once; the next is shed with 503."
    )
    api_starts_max: int = Field(
        default=64,
        ge=1,
        le=2_000,
        description="Starts under way at Temporal that somebody waits for. The others wait in the API, where it costs nothing: "
        "more at once slow each other down, and under overload the rate would sink below that of the peak.",
    )
    api_runs_payments: bool = Field(
        default=True,
        description="Whether a worker lives in the API's process and takes the first step of the payments that it starts. "
        "Without, every step is a worker's of its own process.",
    )
    api_worker_metrics_port: PortOrOff = Field(
        default=0, description="Prometheus port of the worker in the API's process; 0 turns it off."
    )
    api_shutdown_grace_s: int = Field(default=10, ge=0, le=600, description="Time open requests get after SIGTERM.")

    # Sandbox bank ---------------------------------------------------------------------------------------------------
    bank_url: str = Field(
        default=f"http://127.0.0.1:{DEFAULT_BANK_PORT}", pattern=r"^https?://", description="Base of the sandbox bank."
    )
    gateway_connect_timeout_s: float = Field(default=2.0, gt=0, le=60, description="TCP connect to a gateway.")
    gateway_read_timeout_s: float = Field(
        default=5.0, gt=0, le=120, description="Wait for a gateway's answer; after it the outcome is unknown."
    )
    gateway_connections_max: int = Field(default=100, ge=1, le=2_000, description="Connections to one gateway.")

    # Telemetry ------------------------------------------------------------------------------------------------------
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Lowest level logged.")
    log_format: Literal["json", "console"] = Field(default="json", description="`json` for machines, one line each.")
    otlp_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="Base of an OTLP/HTTP collector; none: no export."
    )
    trace_sample_ratio: float = Field(default=0.05, ge=0, le=1, description="Share of traces kept.")
    metrics_enabled: bool = Field(default=True, description="Whether the API serves /metrics.")

    # Local stack ----------------------------------------------------------------------------------------------------
    data_dir: Path = Field(default=Path(".clearhold"), description="Where the embedded stack keeps data and logs.")
    temporal_bin: Path | None = Field(default=None, description="A `temporal` binary to use; none: look for one.")
    python_bin: Path | None = Field(default=None, description="The interpreter of child processes; none: this one.")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.database_pool_min > self.database_pool_max:
            raise ValueError("database_pool_min must not exceed database_pool_max")
        if self.api_wait_default_s > self.api_wait_max_s:
            raise ValueError("api_wait_default_s must not exceed api_wait_max_s")
        return self

    def require_owner_database_url(self) -> str:
        """Return the schema owner's URL; raises `ValueError` naming the variable when it is not set."""
        if self.owner_database_url is None:
            raise ValueError("CLEARHOLD_OWNER_DATABASE_URL is not set; migrations run as the owner of the schema")
        return self.owner_database_url


def complaints(error: ValidationError) -> list[str]:
    """Return what is wrong with settings that were refused, by the variable that holds them; values are not repeated."""
    prefix = Settings.model_config.get("env_prefix", "")
    said = []
    for each in error.errors(include_url=False, include_input=False, include_context=False):
        name = "".join(str(part) for part in each["loc"][:1]).upper()
        message = each["msg"].removeprefix("Value error, ")
        said.append(f"{prefix}{name}: {message}" if name else message)
    return said


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings of this process, once."""
    return Settings()
