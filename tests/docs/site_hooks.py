"""What `make docs` does beside mkdocs: two pages from the repository's top, and no foreign host.

mkdocs loads it by its path (`hooks` in mkdocs.yml) and calls the functions by their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from tests.docs.self_contained import loaded_from_elsewhere

ROOT: Final = Path(__file__).parents[2]

#: Pages of the site that are files at the repository's top.
_FROM_THE_TOP: Final = {
    "understand/decisions.md": "ARCHITECTURE.md",
    "understand/changes.md": "CHANGELOG.md",
}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository, with their links made to fit."""
    for page, name in _FROM_THE_TOP.items():
        text = (ROOT / name).read_text().replace("](docs/", "](../")
        # The site has an architecture for readers, too; its menu calls this one so.
        text = text.replace("# Architecture\n", "# Decisions\n", 1)
        files.append(File.generated(config, page, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that would load anything from another host.

    Raises:
        PluginError: names each page with what it would load.
    """
    site = Path(config.site_dir)
    foreign = [
        f"{path.relative_to(site)}: {found}"
        for path in sorted(site.rglob("*.html"))
        for found in loaded_from_elsewhere(path.read_text())
    ]
    if foreign:
        raise PluginError("pages load from another host:\n" + "\n".join(foreign))
