"""What the providers of the clinic hold on the evening of a day."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorchestra.demo.clinic import correspondence, responses
from lorchestra.demo.clinic.calendar import days_until, random_of
from lorchestra.demo.clinic.correspondence import ACCOUNTS
from lorchestra.demo.clinic.mail import Message
from lorchestra.demo.clinic.people import Person, clients
from lorchestra.demo.clinic.questions import FORMS
from lorchestra.demo.clinic.responses import Response

_ESTABLISHED = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    mailboxes: dict[str, dict[str, Message]] = field(default_factory=lambda: {account: {} for account in ACCOUNTS})
    """By account, each mail by its id."""
    forms: dict[str, dict[str, Response]] = field(default_factory=lambda: {form: {} for form in FORMS})
    """By form, each response by its id."""


def of_day(day: int, *, scale: float = 1) -> Holdings:
    """On day 1, with a scale of 1, about 2,000 mails and 300 responses of 80 clients."""
    established = max(2, round(_ESTABLISHED * scale))
    people = clients(established + max(0, day - 1), random_of("people"))
    held = Holdings()
    for one in days_until(day):
        for account, message in correspondence.of_day(one, people[:established], scale=scale):
            held.mailboxes[account][message["id"]] = message
    for number, person in enumerate(people):
        joined = responses.joined_on(number, established)
        for form, response in responses.of_client(number, person, joined=joined, until=day):
            held.forms[form][response["responseId"]] = response
    for later in range(2, day + 1):
        _edit(held, people[later % established], later)
    return held


def _edit(held: Holdings, person: Person, day: int) -> None:
    """Each day somebody thinks better of what they answered when they came."""
    for response in list(held.forms["intake_01"].values()):
        if response.get("respondentEmail") == person.email and responses.is_whole(response):
            held.forms["intake_01"][response["responseId"]] = responses.edited("intake_01", response, person, day)
            return
