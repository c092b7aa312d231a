"""The installed package in a backend that has a celery_config.py, a worker/ and an infra/, too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.graphs import sleeping

REPOSITORY = Path(__file__).parents[2]
SHOP = REPOSITORY / "tests/data/shop"

#: The exit status of a worker whose Redis or S3 is not reachable.
UNREACHABLE = 3

#: What a backend with a Celery of its own has in its environment; nothing of it is about us.
OF_ITS_CELERY = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "CELERY_RESULT_BACKEND": "cache+memory://",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", str(place), str(REPOSITORY))
    [built] = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel) -> Path:
    """The folder of commands of an environment that has the wheel, and not this repository."""
    return install(wheel, "run.txt")


def install(wheel: Path, lock: str) -> Path:
    venv = wheel.with_name(f"venv-{lock}")
    uv("venv", "--python", sys.executable, str(venv))
    into = ("pip", "install", "--python", str(venv))
    uv(*into, "--require-hashes", "-r", str(REPOSITORY / "requirements" / lock))
    uv(*into, "--no-deps", str(wheel))
    return venv / "bin"


def uv(*arguments: str) -> None:
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments], env=environment, check=True, timeout=90
    )


@pytest.fixture
def shop(tmp_path) -> Path:
    """A backend's folder."""
    shutil.copytree(SHOP, tmp_path, dirs_exist_ok=True)
    (tmp_path / "graph.json").write_text(json.dumps(sleeping(nonce=0)))
    (tmp_path / "rows.csv").write_text("2.nonce\n4\n5\n6\n")
    return tmp_path


def environment_of(shop: Path) -> dict[str, str]:
    """Return what a shell in that folder has, with the folder on Python's path."""
    ours = ("PYTHONPATH", "COMFYFLEET_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": str(shop), **OF_ITS_CELERY}


def run(shop: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=shop,
        env=environment_of(shop),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def up(shop: Path, comfyfleet: Path) -> Iterator[list[str]]:
    """Have `comfyfleet up` run, and give what it says; it ends well when it is told to."""
    with subprocess.Popen(
        [comfyfleet, "up"], cwd=shop, env=environment_of(shop), stdout=subprocess.PIPE, text=True
    ) as process:
        said = []
        while "Ctrl-C stops it." not in said:
            line = process.stdout.readline()
            assert line, f"it ended early, after saying {said}"
            said.append(line.rstrip())
        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 128 + signal.SIGINT


def size_of_first_picture(said: list[str], folder: Path) -> tuple[int, int]:
    """Paste the command that `up` prints into a shell that knows nothing; look at what it made."""
    folder.mkdir()
    [command] = [line for line in said if " submit " in line]
    shell = ["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", command]
    subprocess.run(shell, cwd=folder, check=True, capture_output=True, timeout=60)
    [made] = (folder / "pictures").iterdir()
    return size_of(made)


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as opened:
        return opened.size


def test_a_backend_with_modules_of_our_names_is_served(installed, shop):
    comfyfleet = installed / "comfyfleet"
    with up(shop, comfyfleet) as said:
        assert size_of_first_picture(said, shop / "elsewhere") == (512, 512)
        told = json.loads(run(shop, installed / "python", "shop.py"))
        batch = run(
            shop, comfyfleet, "batch", "submit", "graph.json", "rows.csv", "--wait", "--json"
        )
    library = Path(told.pop("library"))
    assert library.is_relative_to(installed.parent)
    assert [Path(file).relative_to(shop) for file in told.pop("own")] == [
        Path("celery_config.py"),
        Path("infra/__init__.py"),
        Path("worker/__init__.py"),
    ]
    assert told == {
        "job": "succeeded",
        "artifacts": 1,
        "batch": 2,
        "app_of_ours": "comfyfleet",
        "current_app": "shop",
        "app_of_its_tasks": "shop",
    }
    assert json.loads(batch)["counts"]["succeeded"] == 3


def test_the_demo_runs_there(installed, shop):
    said = run(shop, installed / "comfyfleet", "demo")
    assert "demo: 8/8 jobs succeeded, 24 artifacts stored and verified" in said
    assert str(shop / "comfyfleet-demo.png") in said
    assert size_of(shop / "comfyfleet-demo.png") > (1000, 500)


def test_a_package_producer_of_the_backend_is_none_of_the_commands(installed, shop):
    (shop / "producer").mkdir()
    (shop / "producer/__init__.py").write_text("raise SystemExit('the backend\\'s own')\n")
    assert run(shop, installed / "comfyfleet", "--version").startswith("comfyfleet ")
    assert "--restart-command" in run(shop, installed / "comfyfleet", "worker", "--help")


def test_a_gpu_machine_needs_no_more_than_the_workers_lock(wheel, shop):
    comfyfleet = install(wheel, "worker.txt") / "comfyfleet"
    place = ("--name", "gpu-01", "--comfyui", "http://127.0.0.1:1")
    settings = {"COMFYFLEET_REDIS_URL": "redis://127.0.0.1:1/0", "AWS_ACCESS_KEY_ID": "a"}
    settings |= {"AWS_SECRET_ACCESS_KEY": "b", "COMFYFLEET_S3_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [comfyfleet, "worker", *place],
        env={**environment_of(shop), "PYTHONPATH": "", **settings},
        cwd=shop,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == UNREACHABLE, done.stderr
    assert "Traceback" not in done.stderr
    assert not [*comfyfleet.parent.parent.glob("lib/*/site-packages/fastapi")]
