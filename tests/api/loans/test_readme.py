"""The calls that README.md shows, sent as they are printed, and their answers."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.architecture.source import REPOSITORY
from tests.support.lending import Lending

_FENCE = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"curl -s localhost:8080(\S+)")
_HEADER = re.compile(r'-H "([\w-]+): ([^"]+)"')
_BODY = re.compile(r"-d '(.*)'", re.DOTALL)
_LEFT_OUT = "…"


def _shown() -> list[str]:
    return _FENCE.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))


def _answer(text: str) -> Any:
    """Read an answer that leaves things out: `, …` stands for other fields, and a text may end in it."""
    return json.loads(re.sub(rf",? *{_LEFT_OUT}(?=[}}\]])", "", text))


def _fits(shown: Any, real: Any) -> bool:
    match shown:
        case dict():
            return isinstance(real, dict) and all(name in real and _fits(shown[name], real[name]) for name in shown)
        case str() if shown.endswith(_LEFT_OUT):
            return isinstance(real, str) and real.startswith(shown.removesuffix(_LEFT_OUT))
    return bool(shown == real)


async def _call(lender: Lending, command: str) -> Any:
    path = _CALL.match(command)
    assert path is not None, command
    headers = dict(_HEADER.findall(command))
    headers["Authorization"] = headers["Authorization"].replace("$KEY", lender.world.token)
    body = _BODY.search(command)
    content = None if body is None else body[1].replace("'$TOKEN'", "tok_good")
    answer = await lender.world.http.request(
        "GET" if body is None else "POST", path[1], content=content, headers=headers
    )
    assert answer.is_success, answer.text
    return answer.json()


async def test_every_call_is_answered_as_it_is_shown(lender: Lending) -> None:
    for account in ("shop", "ana"):
        await lender.world.open_account(account)
    blocks = [block for block in _shown() if block.startswith(("curl", "{"))]
    checked = 0
    real: Any = None
    for block in blocks:
        command, _, printed = block.partition("\n{") if block.startswith("curl") else ("", "", block[1:])
        if command:
            real = await _call(lender, command)
        if printed:
            shown = _answer("{" + printed)
            assert _fits(shown, real), (shown, real)
            checked += 1
    assert checked == 3


def test_an_answer_that_differs_would_be_found() -> None:
    assert _fits(_answer('{"id": "pay_…", "offer": {"rate": "9.5", …}, …}'), {"id": "pay_1", "offer": {"rate": "9.5"}})
    assert not _fits(_answer('{"offer": {"rate": "9.5", …}, …}'), {"offer": {"rate": "9.6"}})
    assert not _fits(_answer('{"id": "pay_…", …}'), {"id": "ln_1"})
    assert not _fits(_answer('{"id": "pay_…", …}'), {})
