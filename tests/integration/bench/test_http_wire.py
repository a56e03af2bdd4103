from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from infra.bench.http_driver import OVERLOADED, SHED, SHED_WITHOUT_ADVICE, Told, _judge_payment
from infra.bench.http_wire import WireAnswer, WireClient, WireError, request_bytes
from infra.bench.loops import DONE

TIMEOUT_S = 5.0
Behaviour = Callable[[int, bytes], bytes | None]


@asynccontextmanager
async def server(behave: Behaviour) -> AsyncIterator[tuple[WireClient, list[int]]]:
    """A server that answers each request with bytes, or closes the connection on None; the list counts connections."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections) + 1)
        number = connections[-1]
        try:
            while request := await _read_request(reader):
                answer = behave(number, request)
                if answer is None:
                    break
                writer.write(answer)
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = WireClient("127.0.0.1", listening.sockets[0].getsockname()[1], TIMEOUT_S)
    try:
        yield client, connections
    finally:
        client.close()
        listening.close()
        await listening.wait_closed()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0)
    return head + await reader.readexactly(length)


def answer(status: str, body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


async def gather(calls: list[Awaitable[WireAnswer]]) -> list[WireAnswer]:
    return list(await asyncio.gather(*calls))


async def test_one_connection_serves_calls_that_follow_each_other() -> None:
    async with server(lambda _, request: answer("200 OK", request[-3:])) as (client, connections):
        for number in range(5):
            body = f"a={number}".encode()
            message = request_bytes("POST", "/x", "h", {}, body)
            assert await client.send(message) == WireAnswer(200, body, None)
    assert connections == [1]


async def test_calls_at_once_have_a_connection_each_and_each_its_own_answer() -> None:
    async with server(lambda _, request: answer("200 OK", request[-2:])) as (client, connections):
        bodies = [f"{number:02}".encode() for number in range(8)]
        answers = await gather([client.send(request_bytes("POST", "/", "h", {}, body)) for body in bodies])
        assert [answered.body for answered in answers] == bodies
    assert len(connections) == 8


async def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    async with server(lambda _, __: answer("200 OK", b"{}", "Connection: close\r\n")) as (client, connections):
        message = request_bytes("GET", "/", "h", {})
        await client.send(message)
        await client.send(message)
    assert connections == [1, 2]


async def test_a_connection_lost_before_the_answer_is_an_error_and_the_next_call_works() -> None:
    def first_fails(connection: int, _: bytes) -> bytes | None:
        return None if connection == 1 else answer("200 OK", b"{}")

    async with server(first_fails) as (client, _):
        message = request_bytes("GET", "/", "h", {})
        with pytest.raises(WireError, match="lost"):
            await client.send(message)
        assert (await client.send(message)).status == 200


async def test_no_answer_in_time_is_an_error() -> None:
    async with server(lambda _, __: b"HTTP/1.1 200 OK\r\n") as (patient, _):
        port = patient._port
        client = WireClient("127.0.0.1", port, timeout_s=0.1)
        with pytest.raises(WireError, match="Timeout"):
            await client.send(request_bytes("GET", "/", "h", {}))


def test_a_payment_counts_as_done_only_when_it_succeeded() -> None:
    assert _judge_payment(WireAnswer(201, b'{"status":"succeeded","amount":5,"id":"p"}', None))[0] == DONE
    assert _judge_payment(WireAnswer(201, b'{"status":"failed"}', None))[0] == "failed"
    assert _judge_payment(WireAnswer(202, b'{"status":"processing"}', "1"))[0] == "http 202"
    assert _judge_payment(WireAnswer(422, b'{"code":"currency_mismatch"}', None))[0] == "http 422 currency_mismatch"


def test_a_request_turned_away_is_shed_and_an_engine_that_does_not_answer_is_not() -> None:
    overloaded = f'{{"code":"{OVERLOADED}"}}'.encode()
    assert _judge_payment(WireAnswer(503, overloaded, "1"))[0] == SHED
    assert _judge_payment(WireAnswer(429, b"", "1"))[0] == SHED
    assert _judge_payment(WireAnswer(503, overloaded, None))[0] == SHED_WITHOUT_ADVICE
    assert _judge_payment(WireAnswer(503, b'{"code":"engine_unavailable"}', "1"))[0] == "http 503 engine_unavailable"


def test_what_was_shed_is_not_owed_and_what_got_no_answer_may_be() -> None:
    told = Told()
    told.note(DONE, {"amount": 700, "id": "pay_1"})
    told.note(SHED, {})
    told.note("http 202", {})
    assert (told.payments, told.minor, told.unanswered, told.last_id) == (1, 700, 1, "pay_1")
