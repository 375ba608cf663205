"""What holds for every test: the environment says nothing to lorchestra, and a busy machine fails no law."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

# A law does not fail because another test has the processor.
settings.register_profile("lorchestra", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lorchestra")

_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


def pytest_configure() -> None:
    for name in list(os.environ):
        if name.startswith("LORCHESTRA_") or name.lower() in _PROXIES:
            del os.environ[name]
    # A folder without certificates: nobody outside is asked, and each client would read all those of the world anew.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
