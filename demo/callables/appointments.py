"""The day's appointments of a made-up clinic, some of which cannot be used."""

import random

from lorchestra.items import Rejected


def execute(params):
    return {"items": appointments(params["day"], params["count"]), "stats": {"asked_for": params["count"]}}


def appointments(day, count):
    # Seeded by the day: the same day gives the same appointments, so a second run has nothing to change.
    rng = random.Random(day)
    for number in range(count):
        idem_key = f"demo:clinic:appointment:{day}-{number:03d}"
        minutes = rng.choice([25, 50, 50, 50, 0])
        if minutes == 0:
            yield Rejected(idem_key=idem_key, schema="appointment", pointer="/minutes", rule="minimum")
        else:
            yield {"idem_key": idem_key, "day": day, "starts": f"{8 + number % 10:02d}:00", "minutes": minutes}
