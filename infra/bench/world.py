"""What is measured: the whole stack over a folder that vanishes, with the processes that load it and the references beside it.

Invariant: everything runs on one machine and one PostgreSQL server with its durability on, ours and the references alike; each
process's CPU can be told from the others'.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from infra.bench.control import ask
from infra.bench.cpu import CpuMeter
from infra.bench.loops import STRETCH_MAX, Pace
from infra.bench.seed import DBOS_CURRENCY, LOAN_CURRENCY, OUR_CURRENCY, TENANT, Seed, sow
from infra.local.child import ProcessSpec
from infra.local.progress import Progress
from infra.local.readiness import LOOPBACK, http_probe, tcp_probe
from infra.local.stack import API, BANK, PROJECT, READY_PATH, LocalStack, StackOptions
from infra.local.temporal_cluster import ClusterStack
from infra.settings import Settings

LOAD, EMPTY, DBOS = "load", "empty", "dbos"
APART = "api-apart"
"""The API's process while payments run in workers of their own."""

CARD, WALLET, READ, LEND = "card", "wallet", "read", "lend"
DBOS_DATABASE = "bench_dbos"
ANSWER_MARGIN_S = 120.0
"""How much longer than its load a command may take: the drain, on a machine that is busy."""

GOOD_CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What to start. `cluster` takes a Temporal cluster on PostgreSQL instead of the development server.

    `environment`, `postgres_settings` and `temporal_dynamic_config` are as in `StackOptions`.
    """

    workers: int = 1
    references: bool = True
    cluster: bool = False
    dbos_processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    temporal_dynamic_config: Mapping[str, str] = field(default_factory=dict)


class World:
    """A started stack with its load generators."""

    def __init__(self, stack: LocalStack, options: WorldOptions) -> None:
        self.stack = stack
        self.options = options
        self.seed: Seed
        self._ports: dict[str, int] = {}
        self._next: Counter[str] = Counter()
        self._run = f"bench-{int(time.time())}"

    def start(self) -> None:
        """Start everything; raises `LocalStackError` when something does not come up."""
        stack = self.stack
        stack.start_postgres()
        stack.migrate()
        stack.start_temporal()
        self.seed = asyncio.run(sow(stack.postgres.owner_url()))
        stack.start_part(BANK)
        for _ in range(self.options.workers):
            stack.start_worker()
        stack.start_part(API)
        self._start_driver(LOAD, "infra.bench.http_driver")
        if self.options.references:
            self._start_driver(EMPTY, "infra.bench.empty_driver")
            self._start_dbos()
        self._card = {"type": "card", "token": self._token()}

    def _start_driver(self, name: str, module: str) -> None:
        port = self._ports[name] = self.stack.allocator.free()
        self._launch(name, (module, "--port", str(port)), ready_url=None)

    def _start_dbos(self) -> None:
        postgres = self.stack.postgres
        postgres.drop_database(DBOS_DATABASE)
        postgres.create_database(DBOS_DATABASE)
        port = self._ports[DBOS] = self.stack.allocator.free()
        environment = {
            "BENCH_DBOS_SYSTEM_DATABASE_URL": postgres.owner_url(DBOS_DATABASE),
            "BENCH_DBOS_TENANT_ID": TENANT,
            "BENCH_DBOS_PORT": str(port),
            "BENCH_DBOS_PROCESSES": str(self.options.dbos_processes),
        }
        self._launch(DBOS, ("infra.bench.dbos_server",), f"http://{LOOPBACK}:{port}/readyz", environment)

    def _launch(
        self, name: str, module: tuple[str, ...], ready_url: str | None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.stack.supervisor.start(
            ProcessSpec(
                name=name,
                argv=(sys.executable, "-m", *module),
                log_path=self.stack.log_path(name),
                env={**self.stack.environment(), "CLEARHOLD_OWNER_DATABASE_URL": None, **(environment or {})},
                cwd=PROJECT,
                ready=http_probe(ready_url) if ready_url else tcp_probe(self._ports[name]),
            )
        )

    def _token(self) -> str:
        response = httpx.post(f"{self.stack.ports.bank_url}/tokens", json=GOOD_CARD, trust_env=False)
        response.raise_for_status()
        token: str = response.json()["id"]
        return token

    # What can be run --------------------------------------------------------------------------------------------------

    def run_cards(self, pace: Pace) -> dict[str, Any]:
        """Make card payments through our API."""
        return self._pay(CARD, self.stack.ports.api, OUR_CURRENCY, [self._card], self.seed.merchants, pace)

    def run_wallets(self, pace: Pace) -> dict[str, Any]:
        """Move money from wallet to wallet through our API."""
        methods = [{"type": "wallet", "account": account} for account in self.seed.payers]
        return self._pay(WALLET, self.stack.ports.api, OUR_CURRENCY, methods, self.seed.payees, pace)

    def run_dbos(self, pace: Pace) -> dict[str, Any]:
        """Make the same card payments through the saga on DBOS."""
        return self._pay(DBOS, self._ports[DBOS], DBOS_CURRENCY, [self._card], self.seed.dbos_merchants, pace)

    def run_empty(self, pace: Pace) -> dict[str, Any]:
        """Run empty workflows."""
        return self._command(EMPTY, {"do": "run"}, EMPTY, pace)

    def run_variant(self, name: str, pace: Pace) -> dict[str, Any]:
        """Run a variant of the empty workflow."""
        return self._command(EMPTY, {"do": "run", "variant": name}, EMPTY, pace)

    def run_reads(self, paths: list[str], pace: Pace) -> dict[str, Any]:
        """Read paths of our API in turn."""
        order = {"port": self.stack.ports.api, "authorization": self.seed.authorization, "paths": paths}
        return self._command(LOAD, {"do": "read", "order": order}, READ, pace)

    def run_loans(self, pace: Pace) -> dict[str, Any]:
        """Originate loans and pay them out through our API."""
        order = {
            "port": self.stack.ports.api,
            "authorization": self.seed.authorization,
            "key_prefix": f"{self._run}-{LEND}",
            "currency": LOAN_CURRENCY,
            "lenders": self.seed.lenders,
            "borrowers": self.seed.borrowers,
        }
        return self._command(LOAD, {"do": "lend", "order": order}, LEND, pace)

    def told(self) -> dict[str, Any]:
        """Return what clients were told by kind of payment (`card`, `wallet`, `dbos`): the fields of `http_driver.Told`."""
        return ask(self._ports[LOAD], {"do": "told"}, ANSWER_MARGIN_S)

    def _pay(
        self,
        counter: str,
        port: int,
        currency: str,
        methods: list[dict[str, Any]],
        accounts: tuple[str, ...],
        pace: Pace,
    ) -> dict[str, Any]:
        order = {
            "port": port,
            "authorization": self.seed.authorization,
            "kind": counter,
            "key_prefix": f"{self._run}-{counter}",
            "currency": currency,
            "accounts": accounts,
            "methods": methods,
        }
        return self._command(LOAD, {"do": "pay", "order": order}, counter, pace)

    def _command(self, driver: str, command: dict[str, Any], counter: str, pace: Pace) -> dict[str, Any]:
        fields = {"pace": {name: getattr(pace, name) for name in Pace.__slots__}, "first": self._next[counter] + 1}
        answer = ask(self._ports[driver], {**command, **fields}, STRETCH_MAX * pace.duration_s + ANSWER_MARGIN_S)
        self._next[counter] += sum(answer["outcomes"].values()) + answer["skipped"]
        return answer

    def set_workers(self, count: int) -> None:
        """Start or stop workers until there are `count`."""
        while len(self.stack.workers()) < count:
            self.stack.start_worker()
        for name in self.stack.workers()[count:]:
            self.stack.stop_part(name)

    @contextmanager
    def payments_apart(self) -> Iterator[None]:
        """Let payments run in workers of their own, and none in the API's process, while the block runs."""
        self.stack.stop_part(API)
        environment = {"CLEARHOLD_API_RUNS_PAYMENTS": "false"}
        self._launch(APART, ("api",), f"{self.stack.ports.api_url}{READY_PATH}", environment)
        try:
            yield
        finally:
            self.stack.supervisor.stop(APART)
            self.stack.start_part(API)

    # What can be seen -------------------------------------------------------------------------------------------------

    def meter(self) -> CpuMeter:
        """Return a meter of every process, by name; all workers of their own count as `worker`."""
        api = APART if APART in self.stack.supervisor.names() else API
        pids = {
            "api": (self.stack.process(api).pid,),
            "worker": tuple(self.stack.process(name).pid for name in self.stack.workers()),
            "temporal": (self.stack.temporal.process.pid,),
            "postgres": (self.stack.postgres.process.pid,),
            "bank": (self.stack.process(BANK).pid,),
        }
        for name in self._ports:
            pids[name] = (self.stack.process(name).pid,)
        return CpuMeter(pids)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect to the database as its superuser, to look."""
        return psycopg.connect(self.stack.postgres.superuser_url(), autocommit=True)


@contextmanager
def running_world(options: WorldOptions, progress: Progress, settings: Settings | None = None) -> Iterator[World]:
    """Run a world over a new folder; its processes and the folder are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="clearhold-bench-"))
    stack_options = StackOptions(
        folder,
        workers=options.workers,
        environment=options.environment,
        postgres_settings=options.postgres_settings,
        temporal_dynamic_config=options.temporal_dynamic_config,
    )
    try:
        kind = ClusterStack if options.cluster else LocalStack
        with kind(stack_options, settings, progress) as stack:
            world = World(stack, options)
            with progress.step("starting the stack and its references"):
                world.start()
            yield world
    finally:
        shutil.rmtree(folder, ignore_errors=True)
