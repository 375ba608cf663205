"""What lies in the mailboxes: a day's mails for each account, as tidy as mail is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeAlias

from lorchestra.demo.clinic.calendar import moment, random_of
from lorchestra.demo.clinic.mail import (
    Message,
    address,
    attachment,
    common_headers,
    message,
    multipart,
    text,
)
from lorchestra.demo.clinic.people import Person

_PER_DAY: Mapping[str, int] = {
    "reception@clinic.example": 10,
    "practice@clinic.example": 7,
    "billing@clinic.example": 4,
}
ACCOUNTS = tuple(_PER_DAY)
_STAFF = address("Clinic", ACCOUNTS[0])

_SUBJECTS = ("Appointment on Thursday", "Question about the form", "Übungen für zu Hause", "Re: invoice", "Thank you!",
             "Absage für morgen", "Running late", "The questionnaire")  # fmt: skip
_SENTENCES = ("Could we move our appointment?", "I have filled in the form.", "Thank you for the last hour.",
              "Ich komme etwas später.", "The exercises help a little.", "Please send the invoice again.",
              "I slept better this week.", "Bis nächste Woche!")  # fmt: skip

_Letter: TypeAlias = tuple[Mapping[str, str], Any, Sequence[str], str | None]
"""Headers, body, labels, and the number of the mail it answers."""


def of_day(day: int, people: Sequence[Person], *, scale: float) -> Iterator[tuple[str, Message]]:
    """The account and the mail, for all that came or left on a day."""
    for account, count in _PER_DAY.items():
        random = random_of("mail", account, day)
        for index in range(max(1, round(count * scale))):
            at = moment(day, random)
            yield from _written(account, f"{day}/{index}", at, random.choice(people), random)
        if day > 1:
            yield account, _late(account, day, random)


def _late(account: str, day: int, random: Random) -> Message:
    """A mail that was on its way over night: it has the time of the day before."""
    at = moment(day - 1, random) + timedelta(hours=10)
    headers = common_headers(
        sender="nightly@partner.example",
        to=account,
        subject="Report",
        at=at,
        message_id=_mail_id(account, str(day), "late"),
    )
    return message(account, f"{day}/late", at=at, headers=headers, body=text("The report of yesterday."))


def _written(account: str, number: str, at: datetime, person: Person, random: Random) -> Iterator[tuple[str, Message]]:
    chance = random.random()
    if chance < 0.004:
        yield account, _malformed(account, number, at, random)
        return
    if chance < 0.05:
        # One mail to two accounts lies in both.
        other = ACCOUNTS[(ACCOUNTS.index(account) + 1) % len(ACCOUNTS)]
        headers, body, labels, _ = _from_client(other, number, at, person, random)
        for mailbox in (account, other):
            yield (
                mailbox,
                message(mailbox, f"{number}/both", at=at, headers={**headers, "Cc": account}, body=body, labels=labels),
            )
        return
    write = random.choices(_KINDS, _WEIGHTS)[0]
    headers, body, labels, thread = write(account, number, at, person, random)
    yield account, message(account, number, at=at, headers=headers, body=body, labels=labels, thread=thread)


def _from_client(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    headers = common_headers(
        sender=address(person.name, person.email),
        to=address("Clinic", account),
        subject=random.choice(_SUBJECTS),
        at=at,
        message_id=_mail_id(account, number, "client"),
    )
    return headers, text(_body(random)), ("INBOX", *(["UNREAD"] if random.random() < 0.3 else [])), None


def _reply(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    headers = common_headers(
        sender=address("Clinic", account),
        to=address(person.name, person.email),
        subject=f"Re: {random.choice(_SUBJECTS)}",
        at=at,
        message_id=_mail_id(account, number, "reply"),
        In_Reply_To="<earlier-2@mail.example>",
        References="<earlier-1@mail.example> <earlier-2@mail.example>",
    )
    words = _body(random)
    body = multipart("alternative", text(words), text(f"<p>{words}</p>", kind="html"))
    return headers, body, ("SENT",), f"{number}/thread"


def _with_attachment(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    headers, plain, labels, thread = _from_client(account, number, at, person, random)
    both = multipart("alternative", plain, text("<p>see the attachment</p>", kind="html"))
    return headers, multipart("mixed", both, attachment("letter.pdf", size=random.randrange(9_000))), labels, thread


def _in_latin_1(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    headers, _, labels, thread = _from_client(account, number, at, person, random)
    return headers, text(f"Grüße! {_body(random)}", charset="iso-8859-1"), labels, thread


def _newsletter(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    headers = common_headers(
        sender='"News, weekly" (do not answer) <news@letters.example>',
        to="undisclosed-recipients:;",
        subject="This week",
        at=at,
        message_id=_mail_id(account, number, "news"),
    )
    return headers, text("<h1>News</h1><p>Nothing new.</p>", kind="html"), ("INBOX", "CATEGORY_PROMOTIONS"), None


def _to_group(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    headers = common_headers(
        sender=_STAFF,
        to=f"Team: {address('Front desk', ACCOUNTS[0])}, {ACCOUNTS[1]};",
        subject="Who is in tomorrow?",
        at=at,
        message_id=_mail_id(account, number, "team"),
    )
    return headers, text(_body(random)), ("INBOX",), None


def _bare(account: str, number: str, at: datetime, person: Person, random: Random) -> _Letter:
    return {"From": person.email}, text(_body(random)), ("INBOX",), None


_KINDS: tuple[Callable[[str, str, datetime, Person, Random], _Letter], ...] = (
    _from_client,
    _reply,
    _with_attachment,
    _in_latin_1,
    _newsletter,
    _to_group,
    _bare,
)
_WEIGHTS = (42, 22, 10, 8, 8, 5, 4)


def _malformed(account: str, number: str, at: datetime, random: Random) -> Message:
    """What no mail is like; it comes all the same, and is found when it is validated."""
    whole = message(account, number, at=at, headers={"From": _STAFF}, body=text("?"))
    without = {name: value for name, value in whole.items() if name != "payload"}
    return random.choice((without, {**whole, "payload": {"headers": "none"}}, {**whole, "labelIds": "INBOX"}))


def _mail_id(account: str, number: str, kind: str) -> str:
    return f"{account.partition('@')[0]}-{number}-{kind}".replace("/", ".")


def _body(random: Random) -> str:
    return " ".join(random.choices(_SENTENCES, k=random.randint(1, 6)))
