"""What OpenAI's endpoints have in common: errors, rate-limit headers, models."""

from __future__ import annotations

import math
from typing import Any

from refute.wire.events import ErrorDetail, ErrorKind
from refute.wire.exchange import Reply
from refute.wire.sse import compact

WEAKER = (
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4.1", "gpt-4.1-nano"),
    ("gpt-5", "gpt-5-nano"),
    ("gpt-4", "gpt-3.5-turbo"),
    ("o1", "gpt-4o-mini"),
    ("o3", "o3-mini"),
    ("o4", "gpt-4o-mini"),
)
"""A weaker model of the same maker by the beginning of a model's name."""

_ERRORS: dict[ErrorKind, tuple[int, str, str | None, str]] = {
    "rate_limit": (
        429,
        "requests",
        "rate_limit_exceeded",
        (
            "Rate limit reached for requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in {wait}. "
            "Visit https://platform.openai.com/account/rate-limits to learn more."
        ),
    ),
    "quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        (
            "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
            "read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        ),
    ),
    "overloaded": (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "Our servers are currently overloaded. Please try again later.",
    ),
    "server_error": (
        500,
        "server_error",
        None,
        (
            "The server had an error while processing your request. Sorry about that! You can retry your request, or contact us "
            "through our help center at help.openai.com if the error persists."
        ),
    ),
    "bad_request": (400, "invalid_request_error", None, "Invalid request."),
    "context_length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "auth": (
        401,
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "permission": (403, "invalid_request_error", "model_not_found", "Project does not have access to this model."),
    "not_found": (404, "invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    "too_large": (413, "invalid_request_error", None, "Request body is too large."),
}


def error_reply(detail: ErrorDetail) -> Reply:
    """Return an error as OpenAI answers it on any endpoint."""
    status = _ERRORS[detail.kind][0]
    body = compact(error_body(detail)).encode()
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("x-request-id", detail.request_id),
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", "12"),
    ]
    if detail.kind == "rate_limit":
        headers += _limits(detail.retry_after_s)
    return Reply(status, tuple(headers), body)


def error_body(detail: ErrorDetail) -> dict[str, Any]:
    """Return the body of an error."""
    _, kind, code, message = _ERRORS[detail.kind]
    return {"error": {"message": message.format(wait=_wait(detail.retry_after_s)), "type": kind, "param": None, "code": code}}


def _limits(retry_after_s: float | None) -> list[tuple[str, str]]:
    headers = [
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-remaining-tokens", "199000"),
        ("x-ratelimit-reset-requests", _wait(retry_after_s)),
        ("x-ratelimit-reset-tokens", "300ms"),
    ]
    if retry_after_s is not None:
        headers += [("retry-after-ms", f"{retry_after_s * 1000:.0f}"), ("retry-after", str(math.ceil(retry_after_s)))]
    return headers


def _wait(retry_after_s: float | None) -> str:
    if retry_after_s is None:
        return "120ms"
    return f"{retry_after_s * 1000:.0f}ms" if retry_after_s < 1 else f"{retry_after_s:g}s"
