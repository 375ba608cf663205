"""What a request carries to say who asks."""

from __future__ import annotations

from typing import Protocol


class Tokens(Protocol):
    """Threads share it. Both raise TransientError when nobody answers, PermanentError when the credentials are no
    good, and ConfigurationError when there are none.
    """

    def current(self) -> str:
        """A token that is valid as far as anyone knows."""

    def expire(self, token: str) -> None:
        """The provider has refused it: the next one is another."""
