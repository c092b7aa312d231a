"""Entry point of the `comfyfleet` command; a wheel installs this file as the module `comfyfleet`.

That name is unique. `producer`, `worker` and `infra` are common ones, and PYTHONPATH may name the
folder of a backend that has packages of these names.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_INTERRUPTED = 130


def home(beside: Path) -> Path:
    """Return the folder of this installation's packages; if installed with `-e`, the checkout."""
    checkout = beside / "_comfyfleet.pth"
    return Path(checkout.read_text("utf-8").strip()) if checkout.is_file() else beside


def main() -> None:
    """Run the command with this installation's modules, also where others have their names."""
    path = home(Path(__file__).resolve().parent) / "producer" / "own_modules.py"
    spec = spec_from_file_location("comfyfleet_own_modules", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"comfyfleet: {path} is missing; install comfyfleet again")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.prefer_own()
    try:
        from producer.cli.main import main as command  # noqa: PLC0415 - after the names are settled

        command()
    except KeyboardInterrupt:  # before any command could answer it
        raise SystemExit(_INTERRUPTED) from None
