"""Where the project is published: the one place that knows is _config.yml, and links need an address that is there."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from ufm import paths

NOTEBOOKS = "notebooks"  # where the notebooks for anywhere lie: this folder of the site, and the branch of this name


@dataclass(frozen=True)
class Published:
    """The addresses of the repository and the site, each "" while there is none, without a slash at their end."""

    repository: str = ""
    branch: str = "main"
    site: str = ""

    def __post_init__(self) -> None:
        """Raise a ValueError where the addresses are of a kind that links cannot be made of."""
        if self.repository and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", self.repository):
            raise ValueError(f"repository.url: {self.repository!r} is none such as https://github.com/OWNER/NAME")
        if self.site and not re.fullmatch(r"https://[^\s/?#]+(/[^\s?#]+)*", self.site):
            raise ValueError(f"html.baseurl: {self.site!r} is none such as https://OWNER.github.io/NAME")

    @cached_property
    def name(self) -> str:
        """OWNER/NAME of the repository."""
        return self.repository.removeprefix("https://github.com/")

    def file(self, path: str) -> str:
        """The address that shows a file of the repository; "" while there is none."""
        return f"{self.repository}/blob/{self.branch}/{path}" if self.repository else ""

    def page(self, name: str) -> str:
        """The address of a page of the site; "" while there is none."""
        return f"{self.site}/{name}.html" if self.site else ""

    def links(self, notebook: str) -> dict[str, str]:
        """What can be done with a chapter elsewhere, and where; nothing while the repository has no address.

        The services open .ipynb files, as the branch of notebooks holds them, and show text notebooks as plain text.
        """
        if not self.repository:
            return {}
        return {
            "Open in Colab": f"https://colab.research.google.com/github/{self.name}/blob/{NOTEBOOKS}/{notebook}.ipynb",
            "Open in Binder": f"https://mybinder.org/v2/gh/{self.name}/{NOTEBOOKS}?urlpath=lab/tree/{notebook}.ipynb",
            "Edit this page": f"{self.repository}/edit/{self.branch}/notebooks/{notebook}.md",
        }


def configuration() -> dict[str, Any]:
    """What _config.yml says."""
    return yaml.safe_load((paths.ROOT / "_config.yml").read_text(encoding="utf-8"))


def published() -> Published:
    """The addresses in the book's configuration. Raises ValueError where one cannot be used."""
    settings = configuration()
    repository, html = settings.get("repository", {}), settings.get("html", {})
    try:
        return Published(
            repository=(repository.get("url") or "").rstrip("/"),
            branch=repository.get("branch") or "main",
            site=(html.get("baseurl") or "").rstrip("/"),
        )
    except ValueError as error:
        raise ValueError(f"_config.yml: {error}") from None
