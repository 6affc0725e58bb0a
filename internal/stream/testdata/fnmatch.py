#!/usr/bin/env python3
"""Writes fnmatch.tsv: patterns, names, and whether Python's fnmatchcase says
that they match. Run it again after a change; the result is always the same."""

import fnmatch
import pathlib
import random
import warnings

warnings.simplefilter("ignore")  # about sets in sets, which Python will have one day
rnd = random.Random(1)

BY_HAND = """
content.* *.* * ** a*b a**b a?b ? ?? [a] [ab] [!a] [!!] [!!a] [] []] []a] [!]] [!]a] [a-] [-a] [a-c]
[!a-c] [c-a] [!c-a] [a--] [--a] [--] [-] [!-] [!-a] [a-b-c] [a-cx-z] [c-a-e] [c-ab-d] [z-ac-b]
[a [!a [!] [ ] [] [!] a[ a[b [[a] [[] [a]] []-a] []-Z] []-Zx] [!]-Z] [^a] [^] [!^a] [a^] [c-a^x]
[c-a!x] [c-a!] [c-a!-z] [c-a!-] [c-a!--] [c-ac-a!x] [c-a!b-a] [!c-a!x] [c-a-!x] [c-a!!] [c-a!c-a]
[c-a!-z0-9] [\\] [a\\-z] [\\-] [&&] [a&&b] [a||b] [~~] [.] [.-_] [_-.] . .* *. a.b [0-9]* *[0-9]
*a*a*a*b orders.? logs.[ab]* (a) a+b a|b {a} $a ^a \\* \\? [*] [?] [*?] [!*] [a-a] [!a-a] [b-a]
[b-a]* *[b-a] [!b-a]* [a-bc-d-e] [--0] [+--] [a-c-] [-a-c] [!-a-c]
""".split()
NAMES = ["", "a", "b", "c", "d", "e", "x", "z", "-", "!", "^", "]", "[", "a]", "\\", ".", "_", "&", "|", "~", "*", "?",
         "0", "ab", "aab", "a.b", "a-b", "content.", "content.a", "logs.a", "logs.c1", "orders.1", "[a", "[!a", "[]", "[!]", "a[b", "A"]


def random_text(alphabet, longest):
    return "".join(rnd.choice(alphabet) for _ in range(rnd.randint(0, longest)))


def cases():
    for pattern in BY_HAND:
        for name in NAMES:
            yield pattern, name
    for _ in range(1500):
        pattern = random_text("aabbc.-!*?[]^", 9)
        yield pattern, random_text("abc.-!", 5)
    for _ in range(1500):  # brackets are rare by chance
        pattern = "".join(["[", random_text("aabcz--!]^\\", 7), "]", random_text("ab*", 2)])
        yield pattern, rnd.choice("abcz-!]^\\") + random_text("ab", 2)


out = pathlib.Path(__file__).with_name("fnmatch.tsv")
lines = sorted({f"{p}\t{n}\t{int(fnmatch.fnmatchcase(n, p))}\n" for p, n in cases()})
out.write_text("".join(lines))
