"""The pooled transport: answers reach the request they belong to, connections are reused, bounded and never trusted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import uvloop
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from activities.gateway_port import AuthorizeRequest, CaptureMode
from infra.gateways.bank_client import BankClient
from infra.gateways.http_transport import MAX_ANSWER_BYTES, PooledTransport
from infra.gateways.sandbox import SandboxGateway
from tests.integration.bank.cardholder import Cardholder
from tests.support.bank_process import BankProcess

Answer = Callable[["Peer", str, asyncio.StreamWriter], Awaitable[None]]
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Peer:
    """A server that answers the path of each request by a given function, and counts what it sees."""

    answer: Answer
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    paths: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(HEAD_END)
                path = head.split(b" ", 2)[1].decode()
                self.paths.append(path)
                await self.answer(self, path, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_now -= 1
            writer.close()


@asynccontextmanager
async def _peer(
    answer: Answer, max_connections: int = 8, keep_alive_s: float = 30.0
) -> AsyncIterator[tuple[Peer, httpx.AsyncClient]]:
    peer = Peer(answer)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = PooledTransport(max_connections, keep_alive_s)
    async with server, httpx.AsyncClient(base_url=base, transport=transport, timeout=5.0, trust_env=False) as client:
        yield peer, client


async def _echo(_peer: Peer, path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(path)}\r\n\r\n{path}".encode())


async def _echo_and_hang_up(peer: Peer, path: str, writer: asyncio.StreamWriter) -> None:
    await _echo(peer, path, writer)
    writer.close()


async def test_calls_one_after_the_other_share_a_connection() -> None:
    async with _peer(_echo) as (peer, client):
        assert [(await client.get(f"/{n}")).text for n in range(20)] == [f"/{n}" for n in range(20)]
        assert peer.connections == 1


async def test_concurrent_calls_get_their_own_answers_over_a_bounded_number_of_connections() -> None:
    async with _peer(_echo, max_connections=4) as (peer, client):
        answers = await asyncio.gather(*(client.get(f"/{n}") for n in range(100)))
        assert [answer.text for answer in answers] == [f"/{n}" for n in range(100)]
        assert peer.most_open <= 4


async def test_a_connection_closed_while_idle_is_replaced_unnoticed() -> None:
    async with _peer(_echo_and_hang_up) as (peer, client):
        for number in range(3):
            assert (await client.get("/again")).text == "/again"
            async with asyncio.timeout(5):
                while peer.open_now:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert peer.connections == number + 1


async def test_a_connection_idle_for_too_long_is_not_used_again() -> None:
    async with _peer(_echo, keep_alive_s=0.0) as (peer, client):
        for _ in range(3):
            await client.get("/")
        assert peer.connections == 3


async def test_the_answer_to_an_abandoned_call_never_reaches_another() -> None:
    async def late(peer: Peer, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/abandoned":
            await peer.release.wait()
        await _echo(peer, path, writer)

    async with _peer(late, max_connections=1) as (peer, client):
        call = asyncio.create_task(client.get("/abandoned"))
        async with asyncio.timeout(5):
            while "/abandoned" not in peer.paths:
                await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        peer.release.set()
        assert (await client.get("/next")).text == "/next"
        assert peer.connections == 2


async def test_a_timed_out_call_frees_its_place() -> None:
    async def never(peer: Peer, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/never":
            await peer.release.wait()
        await _echo(peer, path, writer)

    async with _peer(never, max_connections=1) as (peer, client):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/never", timeout=0.1)
        assert (await client.get("/next")).text == "/next"
        peer.release.set()


async def test_chunked_answers_and_informational_ones_before_them_are_read() -> None:
    async def chunked(_peer: Peer, _path: str, writer: asyncio.StreamWriter) -> None:
        for part in (
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nX-Kind: chunked\r\n\r\n",
            b"3\r\nabc\r\n",
            b"2\r\nde\r\n0\r\n\r\n",
        ):
            writer.write(part)
            await writer.drain()

    async with _peer(chunked) as (peer, client):
        for _ in range(2):
            answer = await client.get("/")
            assert (answer.status_code, answer.text, answer.headers["x-kind"]) == (201, "abcde", "chunked")
        assert peer.connections == 1


@pytest.mark.parametrize(
    "raw",
    [b"", b"nonsense" + HEAD_END, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"HTTP/1.1 200 OK\r\n"],
)
async def test_a_broken_answer_is_a_protocol_error(raw: bytes) -> None:
    async def broken(_peer: Peer, _path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    async with _peer(broken) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


async def test_an_endless_answer_is_cut_off() -> None:
    async def endless(_peer: Peer, _path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {10 * MAX_ANSWER_BYTES}\r\n\r\n".encode())
        for _ in range(20):
            writer.write(b"x" * (MAX_ANSWER_BYTES // 10))
            await writer.drain()

    async with _peer(endless) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError, match="longer"):
            await client.get("/")


async def test_bytes_nobody_asked_for_end_the_connection() -> None:
    async def talkative(peer: Peer, path: str, writer: asyncio.StreamWriter) -> None:
        await _echo(peer, path, writer)
        await _echo(peer, "/forged", writer)

    async with _peer(talkative) as (peer, client):
        for number in range(5):
            assert (await client.get(f"/{number}")).text == f"/{number}"
        assert peer.connections == 5


@pytest.mark.parametrize("value", ["a\r\nX-Forged: 1", "a\nb", "a\0b"])
async def test_a_header_with_a_line_break_is_refused_before_anything_is_sent(value: str) -> None:
    async with _peer(_echo) as (peer, client):
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/", headers={"Idempotency-Key": value})
        assert peer.connections == 0


async def test_https_is_refused_rather_than_sent_in_the_clear() -> None:
    async with httpx.AsyncClient(transport=PooledTransport(1, 1.0), trust_env=False) as client:
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("https://127.0.0.1:9/")


async def test_it_works_on_uvloop_as_well() -> None:
    async def converse() -> int:
        async with _peer(_echo, max_connections=4) as (peer, client):
            answers = await asyncio.gather(*(client.get(f"/{n}") for n in range(20)))
            assert [answer.text for answer in answers] == [f"/{n}" for n in range(20)]
            return peer.most_open

    assert await asyncio.to_thread(uvloop.run, converse()) <= 4


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["kept", "thrown away"])
async def test_a_traces_id_reaches_the_bank_whether_it_is_kept_or_not(
    bank: BankProcess, cardholder: Cardholder, payment_id: str, sampler: Sampler
) -> None:
    provider = TracerProvider(sampler=sampler)
    async with BankClient(bank.url) as client:
        with provider.get_tracer("test").start_as_current_span("payment") as span:
            await SandboxGateway(client).authorize(
                AuthorizeRequest(
                    f"{payment_id}:a:1", payment_id, 5, "USD", await cardholder.token(), CaptureMode.AUTOMATIC
                )
            )
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert [row["trace_id"] for row in await cardholder.recorded(payment_id)] == [trace_id]
