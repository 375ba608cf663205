"""From Google's exceptions to our error codes, by one table. Nothing that Google wrote is quoted: it could hold values.

a reason, where there is one: what an error body or a failed job calls it
then the class of the exception, most specific first
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeout

import requests.exceptions
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from lorchestra.code_names import type_name
from lorchestra.errors import ConfigurationError
from lorchestra.reporting import log
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

# A status that Google's client has no class for.
_TOO_LARGE = 413
_WORD = re.compile(r"[A-Za-z]{1,64}")
_LOG = log.get_logger(__name__)
_CONFLICT = re.compile(r"due to concurrent update|concurrent (?:update|transaction)s?", re.IGNORECASE)

REASONS: Mapping[str, ErrorCode] = {
    "accessDenied": ErrorCode.FORBIDDEN,
    "backendError": ErrorCode.UNAVAILABLE,
    "badGateway": ErrorCode.UNAVAILABLE,
    "billingNotEnabled": ErrorCode.FORBIDDEN,
    "billingTierLimitExceeded": ErrorCode.REFUSED,
    "blocked": ErrorCode.FORBIDDEN,
    "bytesBilledLimitExceeded": ErrorCode.REFUSED,
    "conditionNotMet": ErrorCode.BUSY,
    "duplicate": ErrorCode.CONFLICT,
    "internalError": ErrorCode.UNAVAILABLE,
    "jobBackendError": ErrorCode.UNAVAILABLE,
    "jobInternalError": ErrorCode.UNAVAILABLE,
    "jobRateLimitExceeded": ErrorCode.RATE_LIMITED,
    "notImplemented": ErrorCode.UNSUPPORTED,
    "quotaExceeded": ErrorCode.RATE_LIMITED,
    "rateLimitExceeded": ErrorCode.RATE_LIMITED,
    "resourceInUse": ErrorCode.BUSY,
    "resourcesExceeded": ErrorCode.TOO_LARGE,
    "responseTooLarge": ErrorCode.TOO_LARGE,
    "stopped": ErrorCode.TIMEOUT,
    "tableUnavailable": ErrorCode.UNAVAILABLE,
    "timeout": ErrorCode.TIMEOUT,
}
"""Those that say more than the status of the answer does."""

CLASSES: tuple[tuple[type[BaseException], ErrorCode], ...] = (
    (api.Unauthorized, ErrorCode.UNAUTHORIZED),
    (api.Forbidden, ErrorCode.FORBIDDEN),
    (api.NotFound, ErrorCode.REFUSED),
    (api.Conflict, ErrorCode.CONFLICT),
    (api.PreconditionFailed, ErrorCode.BUSY),
    (api.TooManyRequests, ErrorCode.RATE_LIMITED),
    (api.GatewayTimeout, ErrorCode.TIMEOUT),
    (api.Cancelled, ErrorCode.TIMEOUT),
    (api.MethodNotImplemented, ErrorCode.UNSUPPORTED),
    (api.ServerError, ErrorCode.UNAVAILABLE),
    # What is left of 4xx is a request that we built wrongly.
    (api.ClientError, ErrorCode.INTERNAL),
    (api.GoogleAPICallError, ErrorCode.UNAVAILABLE),
    (api.GoogleAPIError, ErrorCode.UNAVAILABLE),
    (auth.TransportError, ErrorCode.UNAVAILABLE),
    (auth.GoogleAuthError, ErrorCode.UNAUTHORIZED),
    (requests.exceptions.Timeout, ErrorCode.TIMEOUT),
    (requests.exceptions.RequestException, ErrorCode.UNAVAILABLE),
    (FutureTimeout, ErrorCode.TIMEOUT),
    (ConnectionError, ErrorCode.UNAVAILABLE),
)
FOREIGN = tuple(kind for kind, _ in CLASSES)


def code_of(error: BaseException) -> ErrorCode:
    if isinstance(error, api.RetryError) and error.cause is not None:
        return code_of(error.cause)
    if is_conflict(error):
        return ErrorCode.BUSY
    if getattr(error, "code", None) == _TOO_LARGE:
        return ErrorCode.TOO_LARGE
    reason = reason_of(error)
    if reason is not None and reason in REASONS:
        return REASONS[reason]
    return next((code for kind, code in CLASSES if isinstance(error, kind)), ErrorCode.INTERNAL)


def reason_of(error: BaseException) -> str | None:
    """The word that BigQuery has for what happened."""
    errors = getattr(error, "errors", None)
    first = errors[0] if errors else None
    reason = first.get("reason") if isinstance(first, Mapping) else None
    return reason if isinstance(reason, str) else None


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction got in the way. BigQuery has no reason of its own for it, only this sentence."""
    return isinstance(error, api.BadRequest) and _CONFLICT.search(str(error)) is not None


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What Google's client raises in here leaves as an RpcError; the log says in a word what it was."""
    try:
        yield
    except FOREIGN as error:
        code, reason = code_of(error), reason_of(error)
        job = getattr(error, "query_job", None)
        _LOG.error(
            "storacle.bigquery_error",
            code=code.name.lower(),
            error_type=type_name(type(error)),
            reason=reason if reason and _WORD.fullmatch(reason) else None,
            bigquery_job=getattr(job, "job_id", None),
        )
        raise RpcError(code) from error
    except ConfigurationError as error:
        # Credentials that cannot be had.
        _LOG.error("storacle.bigquery_error", code="unauthorized", reason=str(error))
        raise RpcError(ErrorCode.UNAUTHORIZED) from error
