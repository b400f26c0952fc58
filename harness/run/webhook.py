"""Tells an address of a finding: a POST of JSON, without secrets, tried again where that helps, and never for long."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from textwrap import shorten
from typing import Any, Final

import anyio
import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from harness.core.records import Diagnosis, Finding
from harness.report.door import redactor_of
from harness.report.words import finding_line
from harness.store.folder import RunFolder
from harness.toolchain.http import passing

_SECONDS: Final = 30.0
"""In all; the run's next act waits for it."""
_ANSWER_SECONDS: Final = 8.0
_LONGEST: Final = 2000
"""Characters of an error that is told."""
_NAMED: Final = re.compile(r"\$([A-Za-z_]\w*)")


def address_of(webhook: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address that a scenario's `webhook` is; nothing where it names a variable that is not set."""
    named = _NAMED.fullmatch(webhook)
    return environment.get(named[1], "") if named else webhook


async def post(webhook: str, folder: RunFolder, scenario: str, finding: Finding, diagnosis: Diagnosis | None) -> str:
    """Tell an address of a finding; return ``captured``, or why it was not told.

    It is sent one JSON object: `text` (a line for a chat), `scenario`, `run` (the folder's name), `finding` without its
    progress, and `diagnosis` where there is one. Whatever becomes of it, the run goes on.
    """
    address = address_of(webhook)
    if not address:
        return f"{webhook} is not set, so nobody was told"
    short = asdict(finding) | {"detail": shorten(finding.detail, _LONGEST)}
    del short["last_progress"]
    payload = {
        "text": f"{scenario}: {finding_line(finding)}" + (f"; {diagnosis.sentence}" if diagnosis else ""),
        "scenario": scenario,
        "run": folder.name,
        "finding": short,
        "diagnosis": asdict(diagnosis) if diagnosis else None,
    }
    redactor = redactor_of(folder.path)
    try:
        with anyio.fail_after(_SECONDS):
            await _sent(address, redactor.tree(payload))
    except TimeoutError:
        return f"no answer within {_SECONDS:g} s"
    except httpx.HTTPStatusError as error:
        return f"answered {error.response.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return redactor.clean(f"cannot be reached: {type(error).__name__}: {error}".replace(address, "the address"))
    return "captured"


@retry(
    retry=retry_if_exception(lambda error: passing(error) or _is_busy(error)),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5),
    sleep=anyio.sleep,
    reraise=True,
)
async def _sent(address: str, payload: dict[str, Any]) -> None:
    async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as client:
        answer = await client.post(address, json=payload)
        answer.raise_for_status()


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.TOO_MANY_REQUESTS
