"""Sharing a flush: who is with whom, who gets which answer, and who is spared whose failure."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from infra.postgres.group_commit import GroupCommit, GroupCommitClosedError, GroupCommitFullError, is_outage


class Desk:
    """A flush that records its batches, waits for a gate, and refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0
        self.most_under_way = 0
        self.poison: dict[int, Exception] = {}
        self.answers_missing = 0

    async def flush(self, items: list[int]) -> list[str]:
        self.batches.append(items)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            for item in items:
                if item in self.poison:
                    raise self.poison[item]
        finally:
            self.under_way -= 1
        return [f"answer to {item}" for item in items[self.answers_missing :]]


async def until(condition: object) -> None:
    """Let other tasks run until `condition()` holds; bounded."""
    assert callable(condition)
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition was never met")


async def test_a_lone_caller_is_flushed_at_once() -> None:
    desk = Desk()
    async with GroupCommit(desk.flush) as group:
        assert await group.submit(1) == "answer to 1"
    assert desk.batches == [[1]]


async def test_callers_at_once_share_a_flush_and_each_gets_its_own_answer() -> None:
    desk = Desk()
    async with GroupCommit(desk.flush) as group:
        answers = await asyncio.gather(*(group.submit(n) for n in range(100)))
    assert answers == [f"answer to {n}" for n in range(100)]
    assert desk.batches == [list(range(100))]


async def test_what_arrives_during_a_flush_is_the_next_batch() -> None:
    desk = Desk()
    desk.gate.clear()
    async with GroupCommit(desk.flush, max_flushes=1) as group:
        first = asyncio.create_task(group.submit(0))
        await until(lambda: desk.batches == [[0]])
        rest = [asyncio.create_task(group.submit(n)) for n in range(1, 6)]
        await until(lambda: group.waiting == 5)
        desk.gate.set()
        await asyncio.gather(first, *rest)
    assert desk.batches == [[0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize("max_flushes", [1, 2])
async def test_callers_that_come_again_as_soon_as_they_are_answered_are_all_answered(max_flushes: int) -> None:
    desk = Desk()

    async def caller(number: int) -> None:
        for n in range(200):
            assert await group.submit(number * 1000 + n) == f"answer to {number * 1000 + n}"

    async with asyncio.timeout(30), GroupCommit(desk.flush, max_flushes=max_flushes) as group:
        await asyncio.gather(*(caller(number) for number in range(20)))
    assert sum(map(len, desk.batches)) == 20 * 200
    assert desk.most_under_way <= max_flushes


async def test_batches_and_flushes_at_once_are_bounded() -> None:
    desk = Desk()
    desk.gate.clear()
    async with GroupCommit(desk.flush, max_batch=4, max_flushes=2) as group:
        callers = [asyncio.create_task(group.submit(n)) for n in range(20)]
        await until(lambda: desk.under_way == 2)
        desk.gate.set()
        await asyncio.gather(*callers)
    assert max(map(len, desk.batches)) == 4
    assert desk.most_under_way == 2
    assert sorted(item for batch in desk.batches for item in batch) == list(range(20))


async def test_a_full_queue_refuses_the_next_caller_and_no_other() -> None:
    desk = Desk()
    desk.gate.clear()
    async with GroupCommit(desk.flush, max_batch=1, max_queue=2, max_flushes=1) as group:
        first = asyncio.create_task(group.submit(0))
        await until(lambda: desk.batches == [[0]])
        waiting = [asyncio.create_task(group.submit(n)) for n in (1, 2)]
        await until(lambda: group.waiting == 2)
        with pytest.raises(GroupCommitFullError):
            await group.submit(3)
        desk.gate.set()
        assert await asyncio.gather(first, *waiting) == ["answer to 0", "answer to 1", "answer to 2"]


async def test_one_item_that_cannot_be_flushed_fails_its_caller_alone() -> None:
    desk = Desk()
    desk.poison[37] = ValueError("poison")
    async with GroupCommit(desk.flush) as group:
        answers = await asyncio.gather(*(group.submit(n) for n in range(64)), return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, BaseException)] == [desk.poison[37]]
    assert [answer for n, answer in enumerate(answers) if n != 37] == [f"answer to {n}" for n in range(64) if n != 37]
    assert len(desk.batches) <= 2 * 6 + 1


async def test_when_every_item_fails_the_flushes_are_bounded() -> None:
    desk = Desk()
    desk.poison = {n: ValueError(str(n)) for n in range(32)}
    async with GroupCommit(desk.flush) as group:
        answers = await asyncio.gather(*(group.submit(n) for n in range(32)), return_exceptions=True)
    assert [str(answer) for answer in answers] == [str(n) for n in range(32)]
    assert len(desk.batches) == 2 * 32 - 1


async def test_an_outage_fails_exactly_the_callers_of_the_batch_without_more_tries() -> None:
    desk = Desk()
    desk.poison[3] = psycopg.OperationalError("the connection is lost")
    async with GroupCommit(desk.flush, max_batch=8, max_flushes=1) as group:
        answers = await asyncio.gather(*(group.submit(n) for n in range(16)), return_exceptions=True)
    assert answers[:8] == [desk.poison[3]] * 8
    assert answers[8:] == [f"answer to {n}" for n in range(8, 16)]
    assert len(desk.batches) == 2


async def test_a_deadlock_is_no_outage_and_is_tried_again_in_parts() -> None:
    deadlock = psycopg.errors.DeadlockDetected("deadlock detected")
    assert not is_outage(deadlock)
    assert not is_outage(psycopg.errors.SerializationFailure("could not serialize"))
    assert is_outage(psycopg.errors.AdminShutdown("terminating connection"))
    assert is_outage(psycopg.InterfaceError("the connection is closed"))
    assert not is_outage(psycopg.errors.CheckViolation("violates check constraint"))


async def test_a_caller_that_gives_up_while_waiting_is_not_flushed() -> None:
    desk = Desk()
    desk.gate.clear()
    async with GroupCommit(desk.flush, max_flushes=1) as group:
        first = asyncio.create_task(group.submit(0))
        await until(lambda: desk.batches == [[0]])
        leaving, staying = (asyncio.create_task(group.submit(n)) for n in (1, 2))
        await until(lambda: group.waiting == 2)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        desk.gate.set()
        assert await asyncio.gather(first, staying) == ["answer to 0", "answer to 2"]
    assert desk.batches == [[0], [2]]


async def test_a_caller_that_gives_up_during_the_flush_harms_no_other() -> None:
    desk = Desk()
    desk.gate.clear()
    async with GroupCommit(desk.flush) as group:
        callers = [asyncio.create_task(group.submit(n)) for n in range(3)]
        await until(lambda: desk.batches == [[0, 1, 2]])
        callers[1].cancel()
        desk.gate.set()
        answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [answers[0], answers[2]] == ["answer to 0", "answer to 2"]
    assert isinstance(answers[1], asyncio.CancelledError)
    assert desk.batches == [[0, 1, 2]]


async def test_a_flush_that_forgets_an_answer_is_an_error_and_not_a_mixed_up_answer() -> None:
    desk = Desk()
    desk.answers_missing = 1
    async with GroupCommit(desk.flush) as group:
        answers = await asyncio.gather(*(group.submit(n) for n in range(2)), return_exceptions=True)
    assert all(isinstance(answer, RuntimeError) for answer in answers)


async def test_closing_flushes_what_waits_and_takes_nothing_more() -> None:
    desk = Desk()
    desk.gate.clear()
    group = GroupCommit(desk.flush, max_batch=2, max_flushes=1)
    callers = [asyncio.create_task(group.submit(n)) for n in range(5)]
    await until(lambda: group.waiting == 3)
    closing = asyncio.create_task(group.aclose())
    await until(lambda: group.closed)
    with pytest.raises(GroupCommitClosedError):
        await group.submit(9)
    desk.gate.set()
    await closing
    assert await asyncio.gather(*callers) == [f"answer to {n}" for n in range(5)]
    await group.aclose()


@pytest.mark.parametrize("bound", ["max_batch", "max_queue", "max_flushes"])
async def test_bounds_are_at_least_one(bound: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        GroupCommit(Desk().flush, **{bound: 0})  # type: ignore[arg-type]
