"""JSON answers: exact numbers, one sentence for an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ordertape import limits
from ordertape.api.work import Gone
from ordertape.broadcast.encode import text
from ordertape.errors import (
    ChildFailed,
    DatabaseError,
    ImportRefused,
    MarketBusy,
    NotFound,
    NumberRefused,
    OrdertapeError,
    SettingRefused,
    TransitionRefused,
    VenueError,
)
from ordertape.numbers import json_text

__all__ = ["exact", "hidden_folder", "refusal", "speak_in_sentences", "status_of", "written"]

_log = structlog.stdlib.get_logger("ordertape.api")
_STATUS: tuple[tuple[type[OrdertapeError], int], ...] = (
    (NotFound, 404),
    (MarketBusy, 409),
    (ImportRefused, 409),
    (TransitionRefused, 409),
    (SettingRefused, 422),
    (NumberRefused, 422),
    (VenueError, 502),
    (ChildFailed, 503),
    (DatabaseError, 503),
    (Gone, 499),
)


hidden_folder: ContextVar[str] = ContextVar("hidden_folder", default="")
"""The folder that whoever asks right now is not to hear of: where data lie is of use on this
machine alone."""


def written(answer: str, status: int = 200) -> Response:
    """An answer that is JSON text already, without the folder that is not to be heard of."""
    if folder := hidden_folder.get():
        for is_ascii in (True, False):
            shown = json.dumps(folder, ensure_ascii=is_ascii)[1:-1]
            answer = answer.replace(shown, "the data folder")
    return Response(answer, status, media_type="application/json")


def exact(content: Mapping[str, Any], status: int = 200) -> Response:
    """An answer in which a Decimal is a number, digit by digit."""
    return written(json_text(content), status)


def refusal(sentence: str, status: int) -> Response:
    return written(f'{{"detail":{text(sentence)}}}', status)


def status_of(error: OrdertapeError) -> int:
    """The HTTP status that says what kind of error this is."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def speak_in_sentences(app: FastAPI) -> None:
    """Every error answers ``{"detail": one sentence}``."""

    @app.exception_handler(OrdertapeError)
    async def ours(_request: Request, error: OrdertapeError) -> Response:
        return refusal(str(error), status_of(error))

    @app.exception_handler(OSError)
    async def of_a_disk(_request: Request, error: OSError) -> Response:
        _log.warning("L3_answer_failed", reason=str(error))
        return refusal(str(error), 503)

    @app.exception_handler(HTTPException)
    async def known(_request: Request, error: HTTPException) -> Response:
        answer = refusal(str(error.detail), error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        return refusal("; ".join(_sentence(found) for found in error.errors()), 422)

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, error: Exception) -> Response:
        # The traceback is for the log, where uvicorn writes it; a client gets the sentence.
        return refusal(f"unexpected {type(error).__name__}: the log says more", 500)


def _sentence(found: Mapping[str, Any]) -> str:
    context = found.get("ctx", {})
    if found["type"] == "json_invalid":
        return f"the body: expected JSON, found at character {found['loc'][-1]}: {context['error']}"
    where = ".".join(str(part) for part in found["loc"][1:]) or "the body"
    if found["type"] == "too_short" and "actual_length" in context:
        least, there = context["min_length"], context["actual_length"]
        return f"{where}: expected at least {least}, found {there or 'none'}"
    message = str(found["msg"])
    problem = message[:1].lower() + message[1:]
    given = found.get("input")
    found_text = repr(given)[: limits.name_text_max]
    shown = f", found {found_text}" if isinstance(given, str | int | float | bool) else ""
    return f"{where}: {problem}{shown}"
