"""What users name and write, folders and texts: taken as it is, or refused in a sentence."""

from pathlib import Path

from gliomalib.schema import SettingsError


def absolute(text: str) -> Path:
    """Return the absolute path that a user typed; a first part ``~`` is their home.

    Raises ``SettingsError`` where it cannot be followed, or where JSON and notebooks, which are
    UTF-8, cannot hold it.
    """
    typed = Path(text)
    try:
        # the shell knows the homes of others; here "~x" is a folder of that name
        home = typed.parts[:1] == ("~",)
        place = (typed.expanduser() if home else typed).resolve()
        str(place).encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{text!r}: this name is not UTF-8; rename the folder") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(f"{text!r}: leads nowhere ({error}); name another place") from None
    return place


def text_file(name: str | Path) -> Path:
    """Return the path of a file of settings; ``SettingsError`` where its text is not UTF-8.

    A byte order mark of UTF-8 does no harm. A file that is missing is left to its reader.
    """
    place = Path(name)
    try:
        place.read_text(encoding="utf-8")
    except FileNotFoundError:
        pass
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{place}: not UTF-8 (line {line}); save it as UTF-8") from None
    except IsADirectoryError:
        raise SettingsError(f"{place}: is a folder; a file of settings was expected") from None
    return place
