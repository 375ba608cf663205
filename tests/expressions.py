"""JSONata that every engine has to read alike: expressions, and what comes of them over one document."""

from __future__ import annotations

from typing import Any

DOCUMENT: dict[str, Any] = {
    "visits": [
        {"room": "a", "minutes": [20, 5]},
        {"room": "b", "minutes": [45]},
        {"room": "a", "minutes": []},
    ],
    "name": "Ällen 😀",
    "weight": 61.5,
    "nothing": None,
    "empty": {},
    "list": [],
    "large": 2**53 - 1,
}
BINDINGS: dict[str, Any] = {"row": {"connection_name": "gmail-acct1"}}

VALUES: list[tuple[str, Any]] = [
    ("visits.minutes", [20, 5, 45]),
    ("visits[0].minutes", [20, 5]),
    ("visits.minutes[0]", [20, 45]),
    ("[visits[0]]", [{"room": "a", "minutes": [20, 5]}]),
    ("visits[room='b'].minutes", [45]),
    ("visits{room: $sum(minutes)}", {"a": 25, "b": 45}),
    ("visits.{'r': room, 'm': $count(minutes)}", [{"r": "a", "m": 2}, {"r": "b", "m": 1}, {"r": "a", "m": 0}]),
    ("**.room", ["a", "b", "a"]),
    ("visits.minutes^(>$)", [45, 20, 5]),
    ("missing", None),
    ("nothing", None),
    ("null", None),
    ("$exists(nothing)", True),
    ("$exists(missing)", False),
    ('{"a": missing, "b": nothing}', {"b": None}),
    ("[missing]", []),
    ("empty", {}),
    ("list", []),
    ("missing ? 1 : 2", 2),
    ("nothing ? 1 : 2", 2),
    ("missing = null", False),
    ('"x" & missing & nothing', "xnull"),
    ("$row.connection_name", "gmail-acct1"),
    ("large", 2**53 - 1),
    ("weight * 2", 123),
    ("1/3", 1 / 3),
    ("$round(2.5)", 2),
    ("[1..4]", [1, 2, 3, 4]),
    ("$length(name)", 7),
    ("$substring(name, 6)", "😀"),
    ("$uppercase(name)", "ÄLLEN 😀"),
    ("$trim('  a  b ')", "a b"),
    ("$substringBefore(missing, 'x')", None),
    ("$substringAfter('a/b', '/')", "b"),
    ("$split('a,b', ',')", ["a", "b"]),
    ("$join(['a', 'b'], '-')", "a-b"),
    ("$replace('abcb', /b/, '-')", "a-c-"),
    ("$match('abc', /b(c)/).groups[0]", "c"),
    ("$contains('abc', /^b/)", False),
    ("'a' in ['a']", True),
    ("$number('12')", 12),
    ("$string(1.0)", "1"),
    ("$type(nothing)", "null"),
    ("$fromMillis(1700000000000)", "2023-11-14T22:13:20.000Z"),
    ("$toMillis('2024-01-01T00:00:00Z')", 1704067200000),
    ("$keys({'b': 1, 'a': 2})", ["b", "a"]),
    ("$each({'b': 1, 'a': 2}, function($v, $k) {$k & $v})", ["b1", "a2"]),
    ("$merge([{'a': 1}, {'b': 2}])", {"a": 1, "b": 2}),
    ("$merge([])", {}),
    ("$lookup({'a': 1}, 'a')", 1),
    ("$distinct([1, 1, 2])", [1, 2]),
    ("$sort([3, 1, 2])", [1, 2, 3]),
    ("$sort(visits, function($a, $b) {$a.room > $b.room}).room", ["a", "a", "b"]),
    ("$map(visits, function($v, $i) {$i})", [0, 1, 2]),
    ("$filter([1, 2, 3], function($v) {$v > 1})", [2, 3]),
    ("$reduce([1, 2, 3], function($a, $b) {$a + $b})", 6),
    ("$append(missing, [1])", [1]),
    ("$zip([1, 2], [3, 4])", [[1, 3], [2, 4]]),
    ("($f := function($n) {$n > 0 ? $n + $f($n - 1) : 0}; $f(20))", 210),
    ("visits ~> $count", 3),
    ("$one(3)", [{"n": 3}]),
    ("$one(3).n", 3),
    ('{"x": $one(3)}', {"x": [{"n": 3}]}),
    ("$none(1)", None),
    ('{"x": $none(1)}', {"x": None}),
    ("$exists($none(1))", True),
    ("visits.$one($count(minutes)).n", [2, 1, 0]),
]

FAILURES: list[tuple[str, str]] = [
    ("1 + 'a'", "T2002"),
    ("'a' * 2", "T2001"),
    ("$missing()", "T1006"),
    ("$error('a message')", "D3137"),
    ("$assert(false, 'a message')", "D3141"),
    ("$single([1, 2])", "D3138"),
    ("[1..3] > 2", "T2010"),
]


def one(number: object) -> list[dict[str, object]]:
    return [{"n": number}]


def none(_: object) -> None:
    return None


FUNCTIONS = {"one": one, "none": none}
