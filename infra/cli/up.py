"""`clearhold up`: the whole stack, until Ctrl-C.

Invariant: it leaves no process behind, and everything it started continues where it was at the next `up`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.failures import reported

if TYPE_CHECKING:
    from infra.local.progress import Progress
    from infra.local.stack import LocalStack

TEND_INTERVAL_S = 1.0
WORKERS_MAX = 32


def up(
    workers: Annotated[int, typer.Option(min=1, max=WORKERS_MAX, help="Worker processes to start.")] = 1,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Listen on any free ports.")] = False,
) -> None:
    """Start PostgreSQL, Temporal, the sandbox bank, workers and the API, and stay until Ctrl-C."""
    from infra.cli.access import ensure_development_key
    from infra.local.layout import StackPorts
    from infra.local.ports import PortAllocator
    from infra.local.progress import Progress
    from infra.local.stack import LocalStack, StackOptions
    from infra.settings import get_settings

    settings, progress, allocator = get_settings(), Progress(), PortAllocator()
    with reported():
        ports = StackPorts.any_free(allocator) if free_ports else StackPorts.from_settings(settings, allocator)
        for note in allocator.notes:
            progress.say(note)
        options = StackOptions(settings.data_dir, ports=ports, workers=workers)
        with LocalStack(options, settings, progress) as stack:
            try:
                stack.start()
                key = ensure_development_key(stack.data_dir, stack.postgres.owner_url())
                show_addresses(stack, progress)
                show_first_call(stack, key, progress)
                _stay(stack, progress)
            except KeyboardInterrupt:
                progress.say("stopping: everything under way continues at the next `make run`")


def show_addresses(stack: LocalStack, progress: Progress) -> None:
    """Print where everything is, for a person to click."""
    progress.say(f"API             {stack.ports.api_url}/docs")
    progress.say(f"Temporal UI     {stack.ports.temporal_ui_url}")
    progress.say(f"sandbox bank    {stack.ports.bank_url}/docs")
    for name, url in stack.metrics_urls().items():
        progress.say(f"{name + ' metrics':<16}{url}")
    progress.say(f"data and logs   {stack.data_dir}")
    progress.say("Ctrl-C stops everything; nothing is lost.")


def show_first_call(stack: LocalStack, key: str, progress: Progress) -> None:
    """Print calls to copy: an account, a card's token, a payment, the balance."""
    api, bank = stack.ports.api_url, stack.ports.bank_url
    progress.say("")
    progress.say("The first payment, to copy:")
    progress.say(f"  KEY={key}")
    progress.say(
        f"  curl -s {api}/v1/accounts -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' "
        """-d '{"id": "shop", "currency": "USD"}'"""
    )
    progress.say(
        f"  TOKEN=$(curl -s {bank}/tokens -H 'Content-Type: application/json' "
        """-d '{"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}' """
        """| sed 's/.*"id":"\\([^"]*\\)".*/\\1/')"""
    )
    progress.say(
        f"  curl -s {api}/v1/payments -H \"Authorization: Bearer $KEY\" -H 'Idempotency-Key: order-1001' "
        "-H 'Content-Type: application/json' "
        """-d '{"amount": 2933, "currency": "USD", "account": "shop", """
        """"payment_method": {"type": "card", "token": "'$TOKEN'"}}'"""
    )
    progress.say(f'  curl -s {api}/v1/accounts/shop/balances -H "Authorization: Bearer $KEY"')
    progress.say("")


def _stay(stack: LocalStack, progress: Progress) -> None:
    while True:
        for line in stack.tend():
            progress.say(line)
        time.sleep(TEND_INTERVAL_S)
