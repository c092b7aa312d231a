"""Connection to Redis, and translation of its errors into FleetUnreachable, with advice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from producer.contract.config.redis_address import RedisAddress
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable, KeyOfAnotherType
from producer.store.key_types import foreign_key_of

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline
    from redis.exceptions import RedisError, ResponseError

#: How long Redis may take to answer, s: it may be busy with a script, or loading.
_ANSWER_TIMEOUT_S: Final = 10.0

#: Retries of a command, within about 0.2 s: enough for a dropped connection.
_RETRIES: Final = 3

#: Advice if Redis does not answer.
NOT_THERE: Final = "is it running, and is COMFYFLEET_REDIS_URL right?"

_UNTRUSTED: Final = "name the authority that signed its certificate: rediss://...?ssl_ca_certs=FILE"
_ADVICE: Final = {
    "NOAUTH": "give the password in COMFYFLEET_REDIS_URL",
    "WRONGPASS": "check user and password in COMFYFLEET_REDIS_URL",
    "NOPERM": "its user lacks a right: compare its ACL with infra/redis/users.acl of this version",
    "OOM": "Redis is full; raise maxmemory or let finished records expire sooner",
    "READONLY": "this is a replica; point COMFYFLEET_REDIS_URL at the primary",
    "LOADING": "Redis is reading its data from disk; try again in a moment",
    "BUSY": "a script blocks Redis; try again in a moment",
    "MISCONF": "Redis cannot write to its disk; free space or mend it",
    "NOREPLICAS": "Redis writes only with replicas (min-replicas-to-write); bring them back",
    "MASTERDOWN": "this is a replica without its primary; point COMFYFLEET_REDIS_URL at that",
    "UNBLOCKED": "Redis has become a replica; point COMFYFLEET_REDIS_URL at the primary",
}

_HUNG_UP: Final = re.compile("closed by server|reset by peer|Broken pipe|EOF occurred")

#: What servers say, under another code, to a user who may run a script but not what it does: Redis 7.2 and
#: Valkey, and Redis 7.0.
_REFUSED_IN_SCRIPT: Final = ("ACL failure in script", "The user executing the script can't")

#: Advice by a part of OpenSSL's message, which redis-py and kombu pass on as text.
_TLS_ADVICE: Final = {
    "self-signed certificate": _UNTRUSTED,
    "self signed certificate": _UNTRUSTED,
    "unable to get local issuer": _UNTRUSTED,
    "Hostname mismatch": "the certificate names another host: connect by the name in it",
    "IP address mismatch": "the certificate names no such address: connect by the name in it",
    "certificate has expired": "renew the certificate of the server",
    "CERTIFICATE_VERIFY_FAILED": _UNTRUSTED,
    "WRONG_VERSION_NUMBER": "it does not speak TLS there: is this the port for rediss://?",
    "RECORD_LAYER_FAILURE": "it does not speak TLS there: is this the port for rediss://?",
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours: add ssl_certfile and ssl_keyfile",
}


def connect(
    settings: Settings, *, timeout_s: float = _ANSWER_TIMEOUT_S, retries: int = _RETRIES
) -> Redis:
    """Return a client for the fleet's Redis; it connects at the first command.

    Args:
        timeout_s: how long an answer may take; must be longer than any blocking read.
        retries: how often a command without an answer is sent again.

    A command without an answer is sent again, so every script must have the same effect
    when it is run twice.
    """
    from redis import Redis  # noqa: PLC0415 - 60 ms that `comfyfleet --help` need not pay
    from redis.backoff import ExponentialWithJitterBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    from producer.store.command_packer import CommandPacker  # noqa: PLC0415

    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), retries)
    redis = Redis(
        **RedisAddress.parse(settings.redis_url).client_options,
        retry=retry,
        decode_responses=True,
        # One odd byte in one record would fail whatever is read along with it.
        encoding_errors="backslashreplace",
        socket_timeout=timeout_s,
        socket_connect_timeout=3,
        socket_keepalive=True,
        health_check_interval=15,
    )
    redis.connection_pool.connection_kwargs["command_packer"] = CommandPacker()
    return redis


@contextmanager
def translated(redis: Redis) -> Iterator[None]:
    """Translate redis-py's errors into FleetUnreachable, which names the address without password."""
    from redis.exceptions import (  # noqa: PLC0415
        AuthenticationError,
        BusyLoadingError,
        RedisError,
        ResponseError,
    )

    try:
        yield
    except ResponseError as exc:
        if is_of_another_type(exc):
            raise _foreign(redis, exc) from exc
        if _code(exc) not in _ADVICE:
            raise  # a bug in this project
        raise _unreachable(redis, "refuses", exc) from exc
    except AuthenticationError as exc:
        raise _unreachable(redis, "does not let us in", exc) from exc
    except BusyLoadingError as exc:
        raise _unreachable(redis, "does not serve yet", exc) from exc
    except RedisError as exc:
        raise _unreachable(redis, "does not answer", exc) from exc


def replies_of(pipe: Pipeline) -> list[Any]:
    """Run a pipeline of reads, and return its replies; use within `translated`.

    The reply of a key of another type is an exception: one such key takes no other reply with it.

    Raises:
        RedisError: Redis did not answer, or refused a read for another reason.
    """
    replies = replies_or_errors_of(pipe)
    for reply in replies:
        if isinstance(reply, Exception) and not is_of_another_type(reply):
            raise reply
    return replies


def replies_or_errors_of(pipe: Pipeline) -> list[Any]:
    """Run a pipeline of calls that have nothing to do with each other; return the replies, and errors among them.

    Raises:
        RedisError: Redis did not answer.
    """
    found: list[Any] = pipe.execute(raise_on_error=False)
    return found


def is_of_another_type(error: Exception) -> bool:
    """Tell whether Redis refused a command because its key holds a value of another type."""
    from redis.exceptions import ResponseError  # noqa: PLC0415

    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def _foreign(redis: Redis, error: ResponseError) -> KeyOfAnotherType:
    found = foreign_key_of(redis, error)
    what = found.sentence if found else "a key of the fleet has a value of another type"
    return KeyOfAnotherType(
        f"{what}, in Redis at {address(redis)}",
        key=found.key if found else None,
        advice="rename or delete it, then run comfyfleet check --repair",
    )


def _unreachable(redis: Redis, how: str, error: RedisError) -> FleetUnreachable:
    return FleetUnreachable(
        f"Redis at {address(redis)} {how}: {error}", advice=advice_on(error, redis)
    )


def advice_on(error: BaseException, redis: Redis) -> str:
    """Return the advice for an error of redis-py, which a client met."""
    found = _particular_advice(error)
    if found is None and _shows_no_certificate(redis) and _HUNG_UP.search(str(error)):
        return "it hung up: if it wants a certificate of ours, add ssl_certfile and ssl_keyfile"
    return found or NOT_THERE


def _shows_no_certificate(redis: Redis) -> bool:
    """Tell whether a client speaks TLS and has no certificate of its own.

    In TLS 1.3 a server wants it after the handshake: often its refusal is lost, as it closes the connection.
    """
    options = redis.connection_pool.connection_kwargs
    return "ssl_cert_reqs" in options and not options.get("ssl_certfile")


def _particular_advice(error: BaseException) -> str | None:
    from redis.exceptions import (  # noqa: PLC0415
        AuthenticationError,
        BusyLoadingError,
        ResponseError,
    )

    if isinstance(error, AuthenticationError):
        return _ADVICE["WRONGPASS"]
    if isinstance(error, BusyLoadingError):
        return _ADVICE["LOADING"]
    if isinstance(error, ResponseError):
        return _ADVICE.get(_code(error))
    return next((advice for sign, advice in _TLS_ADVICE.items() if sign in str(error)), None)


def _code(error: ResponseError) -> str:
    # redis-py (8.1.0) removes the code from the text of errors for which it has a class, and puts a
    # text of its own before errors of a pipeline.
    said = str(error).rpartition(" of pipeline caused error: ")[2]
    if said.startswith(_REFUSED_IN_SCRIPT):
        return "NOPERM"
    return getattr(error, "status_code", None) or said.partition(" ")[0]


def address(redis: Redis) -> str:
    """Return the address of *redis*, without user and password."""
    options = redis.connection_pool.connection_kwargs
    db = options.get("db", 0)
    if path := options.get("path"):
        return f"unix://{path}?db={db}" if db else f"unix://{path}"
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{db}"
