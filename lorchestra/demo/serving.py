"""The providers of the clinic, in a process of their own: what is measured of lorchestra is lorchestra's.

`python -m lorchestra.demo.serving --day 1 --scale 1` is given, on standard input, one line of JSON with the refresh
token of each account; it says on standard output where it answers, and ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lorchestra.demo import clinic
from lorchestra.demo.providers.forms import Form, FormsService
from lorchestra.demo.providers.gmail import GmailService, Mailbox
from lorchestra.demo.providers.server import ProviderServer
from lorchestra.demo.providers.tokens import Tokens
from lorchestra.errors import ConfigurationError


@contextmanager
def served(*, day: int, scale: float, tokens: Mapping[str, str]) -> Iterator[str]:
    """Where the clinic answers, as it is on the evening of a day; `tokens` are the refresh tokens by account."""
    command = [sys.executable, "-m", __name__, "--day", str(day), "--scale", str(scale)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({token: account for account, token in tokens.items()}) + "\n")
            process.stdin.flush()
            url = process.stdout.readline().strip()
            if not url:
                raise ConfigurationError("the demo clinic could not be served; what went wrong stands above")
            yield url
        finally:
            process.stdin.close()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--day", type=int, required=True)
    parser.add_argument("--scale", type=float, required=True)
    asked = parser.parse_args()
    tokens = Tokens(json.loads(sys.stdin.readline()))
    held = clinic.of_day(asked.day, scale=asked.scale)
    gmail = GmailService({account: Mailbox(messages) for account, messages in held.mailboxes.items()}, tokens)
    forms = FormsService({form_id: Form(responses) for form_id, responses in held.forms.items()}, tokens)
    with ProviderServer(tokens, gmail, forms) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
