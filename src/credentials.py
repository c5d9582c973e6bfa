"""Loads an account's secrets from where only its owner can read them, and keeps them from being seen.

    credentials = { file = "polymarket.toml" }        a file of the owner's, mode 600 or stricter
    credentials = { environment = "POLYMARKET" }      POLYMARKET_PRIVATE_KEY, POLYMARKET_API_KEY, …
    credentials = { systemd = "polymarket" }          $CREDENTIALS_DIRECTORY/polymarket (LoadCredential= of a unit)

A file is TOML, or JSON when it starts with a brace, with the keys ``private_key`` and, all three or none,
``api_key``, ``api_secret`` and ``api_passphrase``. No error, representation or pickle ever holds a secret.
"""

import difflib
import hmac
import json
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self

from .model.value import Value

FILE_BYTES_MAX = 64 * 1024
"""A credentials file has four short lines; anything longer is another file."""

_FIELDS = ("private_key", "api_key", "api_secret", "api_passphrase")
_API_FIELDS = _FIELDS[1:]
_CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
_KEY_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_AT_LINE = re.compile(r"at line (\d+)")


class CredentialsError(Exception):
    """Secrets could not be loaded; the message says which, from where, and what to do, and holds none of them."""


class CredentialsMissing(CredentialsError):
    """There is nothing at the place that was named, or a needed part of it is absent."""


class CredentialsExposed(CredentialsError):
    """Somebody else could read or replace them: they are refused until that is mended."""


class CredentialsUnusable(CredentialsError):
    """Something is there and is not what it should be."""


# ---- where they are ---------------------------------------------------------------------------------------


class CredentialsFile(Value, frozen=True, tag="file"):
    """A file of the owner's alone."""

    path: str


class CredentialsEnvironment(Value, frozen=True, tag="environment"):
    """Variables ``<prefix>_PRIVATE_KEY`` and so on."""

    prefix: str


class CredentialsSystemd(Value, frozen=True, tag="systemd"):
    """A credential that systemd hands to the unit under this name."""

    name: str


CredentialsSource = CredentialsFile | CredentialsEnvironment | CredentialsSystemd


# ---- what they are ----------------------------------------------------------------------------------------


class Secret:
    """A text that does not show itself; `reveal` is the only way out, so that every use can be found by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for signing and for the wire."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    # Unhashable, so that it becomes no key of a table that somebody prints.
    __hash__ = None  # type: ignore[assignment]  # this is how Python spells it

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not copied or pickled: it stays where it is")


class ApiSecrets:
    """A venue's API key with its secret and passphrase."""

    __slots__ = ("key", "passphrase", "secret")

    def __init__(self, *, key: Secret, secret: Secret, passphrase: Secret) -> None:
        self.key = key
        self.secret = secret
        self.passphrase = passphrase

    def __repr__(self) -> str:
        return "ApiSecrets(…)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("ApiSecrets are not copied or pickled: they stay where they are")


class Secrets:
    """What an account signs with; `api` is None where the venue gives it out against a signature."""

    __slots__ = ("api", "private_key")

    def __init__(self, *, private_key: Secret, api: ApiSecrets | None = None) -> None:
        self.private_key = private_key
        self.api = api

    def __repr__(self) -> str:
        return f"Secrets(private_key=…, api={'…' if self.api else None})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("Secrets are not copied or pickled: they stay where they are")


# ---- loading ----------------------------------------------------------------------------------------------


def load_secrets(source: CredentialsSource, *, environment: Mapping[str, str] | None = None) -> Secrets:
    """Load an account's secrets.

    `environment` stands in for the process's own. Raises `CredentialsMissing`, `CredentialsExposed` or
    `CredentialsUnusable`.
    """
    variables = os.environ if environment is None else environment
    match source:
        case CredentialsFile():
            path = Path(source.path)
            return _secrets_of(_document(_read_owned(path), str(path)), str(path))
        case CredentialsEnvironment():
            return _from_environment(source.prefix, variables)
        case CredentialsSystemd():
            path = _systemd_path(source.name, variables)
            return _secrets_of(_document(_read_systemd(path), str(path)), str(path))


def _from_environment(prefix: str, variables: Mapping[str, str]) -> Secrets:
    names = {field: f"{prefix}_{field.upper()}" for field in _FIELDS}
    found = {field: variables[name] for field, name in names.items() if variables.get(name)}
    return _secrets_of(found, "the environment", names)


def _systemd_path(name: str, variables: Mapping[str, str]) -> Path:
    directory = variables.get(_CREDENTIALS_DIRECTORY)
    if not directory:
        raise CredentialsMissing(
            f"the systemd credential {name!r} cannot be read: ${_CREDENTIALS_DIRECTORY} is not set. "
            f"Start the runtime from a unit with LoadCredential={name}:/path/to/file, or use file or environment."
        )
    return Path(directory) / name


def _read_owned(path: Path) -> bytes:
    """Read a file that only this user can read or replace. All checks are made on the open file, not on its name."""
    with _Opened(path, follow_links=False) as opened:
        owner = opened.status.st_uid
        if owner != os.geteuid():
            raise CredentialsExposed(
                f"{path} belongs to user {owner}, and this process runs as user {os.geteuid()}: its owner can read "
                f"and replace the key. Run: chown {os.geteuid()} {shlex.quote(str(path))}"
            )
        mode = stat.S_IMODE(opened.status.st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CredentialsExposed(
                f"{path} has mode {mode:04o}: others than its owner may use it. Allowed is 0600 or 0400. "
                f"Run: chmod 600 {shlex.quote(str(path))}"
            )
        return opened.read()


def _read_systemd(path: Path) -> bytes:
    # systemd grants the unit's user by an access list; its mask shows as a group permission that nobody else has.
    with _Opened(path, follow_links=True) as opened:
        mode = stat.S_IMODE(opened.status.st_mode)
        if mode & stat.S_IRWXO or opened.status.st_uid not in {0, os.geteuid()}:
            raise CredentialsExposed(
                f"{path} has mode {mode:04o} and owner {opened.status.st_uid}: systemd makes credentials that only "
                f"the unit can read, so this one was made by something else. Load it with LoadCredential=."
            )
        return opened.read()


class _Opened:
    """A regular file of sane size, open for reading."""

    def __init__(self, path: Path, *, follow_links: bool) -> None:
        self._path = path
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
        if not follow_links and path.is_symlink():
            raise CredentialsExposed(
                f"{path} is a symbolic link: whoever can change the link chooses the key. Name the file itself."
            )
        try:
            self._descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise CredentialsMissing(f"there is no credentials file {path}") from None
        except OSError as error:
            raise CredentialsMissing(f"the credentials file {path} cannot be opened: {error.strerror}") from None
        self.status = os.fstat(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> bytes:
        if not stat.S_ISREG(self.status.st_mode):
            raise CredentialsUnusable(f"{self._path} is no regular file")
        if self.status.st_size > FILE_BYTES_MAX:
            raise CredentialsUnusable(
                f"{self._path} has {self.status.st_size} bytes; a credentials file has at most {FILE_BYTES_MAX}"
            )
        content = b""
        while len(content) <= FILE_BYTES_MAX and (part := os.read(self._descriptor, FILE_BYTES_MAX)):
            content += part
        return content


def _document(content: bytes, place: str) -> dict[str, object]:
    """Read TOML or JSON. The parsers' own errors quote what they could not read, so they are cut off here."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialsUnusable(f"{place} is not UTF-8 text") from None
    if not text.strip():
        raise CredentialsMissing(f"{place} is empty; it should hold private_key")
    if text.lstrip().startswith("{"):
        try:
            found: object = json.loads(text)
        except json.JSONDecodeError as error:
            raise CredentialsUnusable(f"{place} is not valid JSON at line {error.lineno}") from None
        except RecursionError:
            raise CredentialsUnusable(f"{place} is JSON nested too deeply") from None
        assert isinstance(found, dict)
        return found
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _AT_LINE.search(str(error))
        where = f"at line {line[1]}" if line else "at its end"
        raise CredentialsUnusable(f'{place} is not valid TOML {where}; expected lines like private_key = "…"') from None
    except RecursionError:
        raise CredentialsUnusable(f"{place} is TOML nested too deeply") from None


def _secrets_of(found: Mapping[str, object], place: str, names: Mapping[str, str] | None = None) -> Secrets:
    called = names or {field: field for field in _FIELDS}
    for name in found:
        if name not in _FIELDS:
            raise CredentialsUnusable(f"{place} has {_unknown(name)}; allowed are {', '.join(_FIELDS)}")
    texts: dict[str, Secret] = {}
    for field, value in found.items():
        if not isinstance(value, str):
            raise CredentialsUnusable(f"{place}: {called[field]} is no text in quotes, but {type(value).__name__}")
        text = value.strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise CredentialsUnusable(
                f"{place}: {called[field]} is {'empty' if not text else 'not one word of plain ASCII'}"
            )
        texts[field] = Secret(text)
    if "private_key" not in texts:
        raise CredentialsMissing(f"{place}: {called['private_key']} is not set")
    given = [field for field in _API_FIELDS if field in texts]
    if not given:
        return Secrets(private_key=texts["private_key"])
    absent = [called[field] for field in _API_FIELDS if field not in texts]
    if absent:
        raise CredentialsMissing(
            f"{place}: {', '.join(called[field] for field in given)} is set without {', '.join(absent)}; "
            f"give all three, or none and the venue is asked for them with the private key"
        )
    api = ApiSecrets(key=texts["api_key"], secret=texts["api_secret"], passphrase=texts["api_passphrase"])
    return Secrets(private_key=texts["private_key"], api=api)


def _unknown(name: object) -> str:
    # A key that does not look like one may be a secret on the wrong side of the equals sign.
    if not isinstance(name, str) or not _KEY_NAME.fullmatch(name):
        return "a key that is no key's name"
    near = difflib.get_close_matches(name, _FIELDS, n=1)
    return f"the unknown key {name!r}" + (f" (did you mean {near[0]}?)" if near else "")
