"""`clearhold payment`: make a payment and watch it, or show one."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="Make and show payments.", no_args_is_help=True)

WATCH_INTERVAL_S = 0.2
WATCH_LIMIT_S = 300.0
_WAITING = frozenset({"processing"})

Url = Annotated[str | None, typer.Option("--api", help="The API's address; by default the stack of this folder.")]
Key = Annotated[str | None, typer.Option(help="The API key; by default CLEARHOLD_API_KEY or the development key.")]


@app.command("create")
def create(
    amount: Annotated[int, typer.Argument(min=1, help="In minor units: 2933 is 29.33 USD.")],
    account: Annotated[str, typer.Option(help="The account that is paid; opened if it does not exist.")] = "shop",
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
    card: Annotated[
        str, typer.Option(help="A test card of the sandbox bank, or a token it gave (tok_…).")
    ] = "4242424242424242",
    manual: Annotated[bool, typer.Option("--manual", help="Authorize only; capture later.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show each step as it happens.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Repeat a call under the same key; by default a new one.")
    ] = None,
    api: Url = None,
    key: Key = None,
) -> None:
    """Make one card payment."""
    from infra.cli.access import open_api

    with open_api(api, key) as client:
        _require(client.post("/v1/accounts", json={"id": account, "currency": currency}))
        order = {
            "amount": amount,
            "currency": currency,
            "account": account,
            "capture_method": "manual" if manual else "automatic",
            "payment_method": {"type": "card", "token": card if card.startswith("tok_") else _exchange(card)},
        }
        headers = {"Idempotency-Key": idempotency_key or f"cli-{uuid.uuid4()}"}
        if watch:
            headers["Prefer"] = "wait=0"
        payment = _require(client.post("/v1/payments", json=order, headers=headers))
        if watch:
            payment = _watch(client, payment["id"])
        _print_payment(payment)


@app.command("show")
def show(payment_id: Annotated[str, typer.Argument()], api: Url = None, key: Key = None) -> None:
    """Show a payment, its timeline and what it waits for."""
    from infra.cli.access import open_api

    with open_api(api, key) as client:
        payment = _require(client.get(f"/v1/payments/{payment_id}"))
        for event in _require(client.get(f"/v1/payments/{payment_id}/timeline"))["events"]:
            _print_event(event)
        _print_payment(payment)
        live = client.get(f"/v1/payments/{payment_id}/live")
        if live.is_success and live.json().get("waits_for"):
            typer.echo(f"waits for {live.json()['waits_for']}")


def _exchange(card: str) -> str:
    """Exchange a test card for a token at the bank itself, as hosted card fields do: the API never sees the number."""
    import httpx

    from infra.local.layout import find_running_stack
    from infra.settings import get_settings

    settings = get_settings()
    running = find_running_stack(settings.data_dir)
    bank = running.settings().bank_url if running else settings.bank_url
    fields = {"number": card, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    token: str = _require(httpx.post(f"{bank}/tokens", json=fields, trust_env=False))["id"]
    return token


def _require(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    if response.is_error:
        typer.secho(f"{response.status_code} {body.get('title', '')}: {body.get('detail', '')}", fg="red", err=True)
        if advice := body.get("advice"):
            typer.echo(advice, err=True)
        raise typer.Exit(1)
    return body


def _watch(client: httpx.Client, payment_id: str) -> dict[str, Any]:
    """Print each new line of the timeline until the payment rests."""
    seen = 0
    deadline = time.monotonic() + WATCH_LIMIT_S
    while True:
        response = client.get(f"/v1/payments/{payment_id}")
        timeline = client.get(f"/v1/payments/{payment_id}/timeline")
        events = timeline.json()["events"] if timeline.is_success else []
        for event in events[seen:]:
            _print_event(event)
        seen = len(events)
        if response.is_success and response.json()["status"] not in _WAITING and events:
            payment: dict[str, Any] = response.json()
            return payment
        if time.monotonic() > deadline:
            typer.secho(
                f"{payment_id} still works after {WATCH_LIMIT_S:g} s; `clearhold payment show` tells more", err=True
            )
            raise typer.Exit(1)
        time.sleep(WATCH_INTERVAL_S)


def _print_event(event: dict[str, Any]) -> None:
    typer.echo(f"  {event['at']}  {event['text']}")


def _print_payment(payment: dict[str, Any]) -> None:
    good = payment["status"] not in ("failed", "needs_review")
    typer.secho(f"{payment['id']}  {payment['status']}", fg="green" if good else "red", bold=True)
    typer.echo(
        f"  amount {payment['amount']} {payment['currency']} (minor units), captured {payment['amount_captured']}"
    )
    if failure := payment.get("failure"):
        typer.echo(f"  {failure['code']}: {failure['message']} {failure['advice']}")
    typer.echo(f"  {payment['links']['temporal_ui']}")
