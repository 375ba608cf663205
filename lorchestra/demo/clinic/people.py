"""The people of the clinic. None of them is anybody: their names are put together from syllables."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_FIRST = ("Ada", "Bel", "Cor", "Dag", "El", "Fin", "Gre", "Hil", "Ja", "Kar", "Lu", "Mir", "No", "Ol", "Per", "Ros")
_SECOND = ("a", "an", "ena", "ia", "in", "is", "mar", "na", "on", "ra", "ric", "tje", "ulf", "wen", "wig", "ya")
_FRONT = ("Ash", "Birk", "Clar", "Dorn", "Eich", "Fels", "Grün", "Holm", "Kirs", "Lind", "Møl", "Nord", "Özt", "Pfeif")
_BACK = ("berg", "by", "camp", "er", "feld", "gaard", "hoff", "in", "ler", "mann", "quist", "son", "tal", "wood")

_PLAIN = str.maketrans({"ü": "ue", "ø": "oe", "ö": "oe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    name: str
    email: str
    burden: float
    """How much weighs on them, from 0 to 1: what their answers lean to."""


def clients(count: int, random: Random) -> tuple[Person, ...]:
    return tuple(_person(number, random) for number in range(count))


def _person(number: int, random: Random) -> Person:
    first = random.choice(_FIRST) + random.choice(_SECOND)
    last = random.choice(_FRONT) + random.choice(_BACK)
    address = f"{first}.{last}.{number}@clients.example".lower().translate(_PLAIN)
    return Person(name=f"{first} {last}", email=address, burden=random.random())
