"""How messages reach a service. HTTP is one more class with a `send`."""

from lorchestra.storacle.transports.base import Transport
from lorchestra.storacle.transports.in_process import InProcessTransport, Service
from lorchestra.storacle.transports.recording import Exchange, RecordingTransport

__all__ = ["Exchange", "InProcessTransport", "RecordingTransport", "Service", "Transport"]
