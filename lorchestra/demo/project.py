"""The project of the demo: settings with the clinic's connections, and tokens that are worth something for one run."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lorchestra.demo.clinic import ACCOUNTS, FORMS
from lorchestra.errors import ConfigurationError

SETTINGS = "lorchestra.yaml"
COPIES = "copies"
VAULT = "vault"
_HEADING = "# Written by `lorchestra demo`, anew each time: the clinic's address is another one.\n"
_SECRETS = "secrets"


class DemoProject:
    """A folder that the demo made, or an empty one. Raises ConfigurationError for any other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        settings = self.folder / SETTINGS
        if settings.exists() and not settings.read_text().startswith(_HEADING):
            raise ConfigurationError(
                f"{settings} is of another project; let the demo have a folder of its own: --folder"
            )
        if not settings.exists() and self.folder.is_dir() and any(self.folder.iterdir()):
            raise ConfigurationError(f"{self.folder} is not empty; let the demo have a folder of its own: --folder")

    def prepare(self) -> Mapping[str, str]:
        """Make the folders, and a refresh token for each account, which are given back by account."""
        tokens = {account: secrets.token_urlsafe() for account in ACCOUNTS}
        for name in (_SECRETS, COPIES, VAULT):
            try:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise ConfigurationError(f"{self.folder / name} cannot be made: {reason}") from error
        self._write(".gitignore", "*\n")
        self._write(f"{_SECRETS}/client", secrets.token_urlsafe())
        for account, token in tokens.items():
            self._write(_token_file(account), token)
        return tokens

    def connect(self, url: str) -> None:
        """Write the settings, with connections to the clinic at this address."""
        settings = {
            "connections": {**_mailboxes(url), **_forms(url)},
            "storacle": {"roots": {"copies": COPIES, "vault": VAULT}},
        }
        self._write(SETTINGS, _HEADING + yaml.safe_dump(settings, sort_keys=False))

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)


def _mailboxes(url: str) -> dict[str, Any]:
    return {
        f"gmail-acct{number}": {
            "connector": "gmail",
            "account": account,
            "base_url": url,
            "requests_per_s": 1000.0,
            "credentials": _credentials(url, account),
        }
        for number, account in enumerate(ACCOUNTS, start=1)
    }


def _forms(url: str) -> dict[str, Any]:
    return {
        f"google-forms-{form.replace('_', '-')}": {
            "connector": "google_forms",
            "form_id": form,
            "base_url": url,
            "requests_per_s": 1000.0,
            "credentials": _credentials(url, ACCOUNTS[0]),
        }
        for form in FORMS
    }


def _credentials(url: str, account: str) -> dict[str, str]:
    return {
        "kind": "refresh_token",
        "client_id": "demo",
        "client_secret": f"file:{_SECRETS}/client",
        "refresh_token": f"file:{_token_file(account)}",
        "token_url": f"{url}/token",
    }


def _token_file(account: str) -> str:
    return f"{_SECRETS}/{account.partition('@')[0]}"
