"""What carries a JSON-RPC message to a service and its answer back."""

from __future__ import annotations

from typing import Protocol

from lorchestra.storacle.codec import Message


class Transport(Protocol):
    def send(self, message: Message) -> object:
        """Deliver one message and return the answer as it came; None when there is none to give.

        A transport may resend the very same message when an answer does not arrive: the service recognises the ops of
        a plan that it has applied, and a query changes nothing. Raises TransientError when the service cannot be
        reached or does not answer in time; whether the message was acted on is then unknown, and sending the same
        plan again is safe.
        """
