"""Names of folders to which a shell, make, YAML, Snakemake or a format string gives a meaning."""

import string
import unicodedata

EVERY_SIGN = "".join(sorted(set(string.printable[:95]) - {"/"}))
"""Every printable sign of ASCII that a name may hold, a blank at the beginning."""

NAMES = (
    EVERY_SIGN,
    "O'Brien #1: {study} $HOME",
    "{prefix}{0}{",
    "-rf",
    "$(touch broken)`touch broken`",
    'a" b\\',
    "two\nlines",
    "tab\tand\rreturn ",
    unicodedata.normalize("NFC", "Größe"),
    unicodedata.normalize("NFD", "Größe"),
    "日本 😀",
    "%(x)s %s",
    "key: value",
    "\n",
    "x" * 200,
)
