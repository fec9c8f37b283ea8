"""Settings from the environment, under the names people already use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .client import DeepsetClient
from .credentials import clean_key
from .errors import InvalidInputError
from .urls import DEFAULT_BASE_URL

_FAMILIES = (
    ("DEEPSET_API_KEY", "DEEPSET_API_URL", "DEEPSET_WORKSPACE"),
    ("API_KEY", "API_URL", "DEFAULT_WORKSPACE_NAME"),
    ("DEEPSET_CLOUD_API_KEY", None, None),
)


@dataclass(frozen=True)
class ClientSettings:
    """What a client needs, and where it was found."""

    api_key: str = field(repr=False)
    base_url: str
    workspace: str | None
    """None when the environment names none."""
    key_name: str
    """The variable that held the key."""

    def client(self) -> DeepsetClient:
        """A client with these settings.

        Raises:
            InvalidInputError: a URL that cannot be used.
        """
        return DeepsetClient(self.api_key, self.base_url)


def settings_from_environment(environ: Mapping[str, str] | None = None) -> ClientSettings:
    """The settings in the environment; of several names the first one that holds something counts.

    - key: ``DEEPSET_API_KEY``, ``API_KEY``, ``DEEPSET_CLOUD_API_KEY``
    - URL: ``DEEPSET_API_URL``, ``API_URL``, otherwise the European platform. ``API_URL`` is a name that anything may use, so it
      counts only beside ``API_KEY``: a key never goes to a host that was meant for another one.
    - workspace: ``DEEPSET_WORKSPACE``, ``DEFAULT_WORKSPACE_NAME``

    Args:
        environ: what to read instead of this process's environment.

    Raises:
        InvalidInputError: there is no key, or it cannot be used.
    """
    found = {name: value.strip() for name, value in (os.environ if environ is None else environ).items() if value.strip()}
    key_name = next((key for key, _, _ in _FAMILIES if key in found), None)
    if key_name is None:
        raise InvalidInputError("The environment holds no API key.",
                                "Set DEEPSET_API_KEY (API_KEY and DEEPSET_CLOUD_API_KEY work too).")
    urls = ["DEEPSET_API_URL", *(url for key, url, _ in _FAMILIES if url and key == key_name)]
    base_url = next((found[name] for name in urls if name in found), DEFAULT_BASE_URL)
    workspace = next((found[name] for _, _, name in _FAMILIES if name and name in found), None)
    try:
        return ClientSettings(clean_key(found[key_name]), base_url, workspace, key_name)
    except InvalidInputError as error:
        raise InvalidInputError(error.problem, error.advice, f"environment variable {key_name}") from error
