"""Secrets come from places that only their owner can read, and are never seen again."""

import copy
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tallystick.credentials import (
    FILE_BYTES_MAX,
    ApiSecrets,
    CredentialsEnvironment,
    CredentialsError,
    CredentialsExposed,
    CredentialsFile,
    CredentialsMissing,
    CredentialsSystemd,
    CredentialsUnusable,
    Secret,
    Secrets,
    load_secrets,
)

KEY = "0x" + "ab" * 32
API = ("0f0e-key", "c2VjcmV0LW9mLWFwaQ==", "pass-phrase-7")
WHOLE = f'private_key = "{KEY}"\napi_key = "{API[0]}"\napi_secret = "{API[1]}"\napi_passphrase = "{API[2]}"\n'


def owned(folder: Path, content: str, mode: int = 0o600) -> CredentialsFile:
    file = folder / "main.toml"
    file.write_text(content)
    file.chmod(mode)
    return CredentialsFile(path=str(file))


def revealed(secrets: Secrets) -> tuple[str, ...]:
    api = secrets.api
    parts = () if api is None else (api.key, api.secret, api.passphrase)
    return tuple(part.reveal() for part in (secrets.private_key, *parts))


class TestAFile:
    def test_gives_all_four_secrets(self, tmp_path: Path) -> None:
        assert revealed(load_secrets(owned(tmp_path, WHOLE))) == (KEY, *API)

    def test_gives_the_private_key_alone(self, tmp_path: Path) -> None:
        secrets = load_secrets(owned(tmp_path, f'private_key = "{KEY}"\n', mode=0o400))
        assert revealed(secrets) == (KEY,)
        assert secrets.api is None

    def test_may_be_json(self, tmp_path: Path) -> None:
        assert revealed(load_secrets(owned(tmp_path, f'{{"private_key": "{KEY}"}}'))) == (KEY,)

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o660])
    def test_that_others_may_use_is_refused_with_the_command_that_mends_it(self, tmp_path: Path, mode: int) -> None:
        source = owned(tmp_path, WHOLE, mode=mode)
        with pytest.raises(CredentialsExposed) as caught:
            load_secrets(source)
        assert str(caught.value) == (
            f"{source.path} has mode {mode:04o}: others than its owner may use it. Allowed is 0600 or 0400. "
            f"Run: chmod 600 {source.path}"
        )

    def test_of_another_user_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = owned(tmp_path, WHOLE)
        owner = Path(source.path).stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        with pytest.raises(CredentialsExposed, match=f"belongs to user {owner}, .* Run: chown {owner + 1} "):
            load_secrets(source)

    def test_behind_a_symbolic_link_is_refused(self, tmp_path: Path) -> None:
        source = owned(tmp_path, WHOLE)
        link = tmp_path / "link.toml"
        link.symlink_to(source.path)
        with pytest.raises(CredentialsExposed, match="is a symbolic link"):
            load_secrets(CredentialsFile(path=str(link)))

    def test_that_is_absent_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CredentialsMissing, match=r"there is no credentials file .*main\.toml"):
            load_secrets(CredentialsFile(path=str(tmp_path / "main.toml")))

    def test_that_is_no_file_is_refused(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir(mode=0o700)
        with pytest.raises(CredentialsUnusable, match="no regular file"):
            load_secrets(CredentialsFile(path=str(folder)))

    def test_a_pipe_does_not_hang_the_start(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe, mode=0o600)
        with pytest.raises(CredentialsUnusable, match="no regular file"):
            load_secrets(CredentialsFile(path=str(pipe)))

    def test_of_endless_length_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CredentialsUnusable, match=f"at most {FILE_BYTES_MAX}"):
            load_secrets(owned(tmp_path, WHOLE + "#" * FILE_BYTES_MAX))

    @pytest.mark.parametrize(
        ("content", "kind", "said"),
        [
            ("", CredentialsMissing, "is empty; it should hold private_key"),
            ('api_key = "x"\n', CredentialsMissing, "private_key is not set"),
            (f'private_key = "{KEY}"\napi_key = "k"\n', CredentialsMissing, "set without api_secret, api_passphrase"),
            ('private_key = ""\n', CredentialsUnusable, "private_key is empty"),
            ('private_key = "two words"\n', CredentialsUnusable, "not one word of plain ASCII"),
            ('private_key = "ключ"\n', CredentialsUnusable, "not one word of plain ASCII"),
            ("private_key = 12\n", CredentialsUnusable, "private_key is no text in quotes, but int"),
            ('privat_key = "x"\n', CredentialsUnusable, "'privat_key' (did you mean private_key?)"),
            (f"{KEY}\n", CredentialsUnusable, "is not valid TOML at line 1"),
            (f'"{KEY}" = 1\n', CredentialsUnusable, "a key that is no key's name"),
            (f'{{"private_key": "{KEY}"\n', CredentialsUnusable, "is not valid JSON at line"),
        ],
    )
    def test_with_other_content_says_what_is_wrong(
        self, tmp_path: Path, content: str, kind: type[CredentialsError], said: str
    ) -> None:
        with pytest.raises(kind) as caught:
            load_secrets(owned(tmp_path, content))
        assert said in str(caught.value)
        assert "abab" not in "".join(traceback.format_exception(caught.value))

    def test_of_other_bytes_is_refused(self, tmp_path: Path) -> None:
        source = owned(tmp_path, "")
        Path(source.path).write_bytes(b"\xff\xfe")
        with pytest.raises(CredentialsUnusable, match="not UTF-8"):
            load_secrets(source)


class TestTheEnvironment:
    def test_gives_all_four_secrets(self) -> None:
        variables = {
            "DESK_PRIVATE_KEY": KEY,
            "DESK_API_KEY": API[0],
            "DESK_API_SECRET": API[1],
            "DESK_API_PASSPHRASE": API[2],
            "OTHER_PRIVATE_KEY": "not ours",
        }
        assert revealed(load_secrets(CredentialsEnvironment(prefix="DESK"), environment=variables)) == (KEY, *API)

    def test_without_the_key_names_the_variable(self) -> None:
        with pytest.raises(CredentialsMissing, match="the environment: DESK_PRIVATE_KEY is not set"):
            load_secrets(CredentialsEnvironment(prefix="DESK"), environment={"DESK_PRIVATE_KEY": ""})

    def test_with_half_an_api_key_names_the_other_half(self) -> None:
        variables = {"DESK_PRIVATE_KEY": KEY, "DESK_API_SECRET": "s"}
        with pytest.raises(
            CredentialsMissing, match="DESK_API_SECRET is set without DESK_API_KEY, DESK_API_PASSPHRASE"
        ):
            load_secrets(CredentialsEnvironment(prefix="DESK"), environment=variables)


class TestSystemd:
    def test_gives_what_the_unit_was_handed(self, tmp_path: Path) -> None:
        # systemd grants by access list: the mask shows as group permission.
        owned(tmp_path, WHOLE, mode=0o440)
        source = CredentialsSystemd(name="main.toml")
        found = load_secrets(source, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert revealed(found) == (KEY, *API)

    def test_outside_of_a_unit_says_how_to_start(self) -> None:
        with pytest.raises(CredentialsMissing, match="LoadCredential=desk:"):
            load_secrets(CredentialsSystemd(name="desk"), environment={})

    def test_that_everybody_can_read_is_refused(self, tmp_path: Path) -> None:
        owned(tmp_path, WHOLE, mode=0o444)
        with pytest.raises(CredentialsExposed, match="LoadCredential="):
            load_secrets(CredentialsSystemd(name="main.toml"), environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})

    def test_the_process_environment_is_used_by_default(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        owned(tmp_path, WHOLE)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        assert revealed(load_secrets(CredentialsSystemd(name="main.toml")))[0] == KEY


def every_secret() -> list[object]:
    api = ApiSecrets(key=Secret(API[0]), secret=Secret(API[1]), passphrase=Secret(API[2]))
    return [Secret(KEY), api, Secrets(private_key=Secret(KEY), api=api), Secrets(private_key=Secret(KEY))]


class TestSecrecy:
    @pytest.mark.parametrize("secret", every_secret(), ids=type)
    @pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>80}".format, "%s".__mod__, lambda x: repr([x])])
    def test_no_way_of_printing_shows_a_secret(self, secret: object, show: Callable[[object], str]) -> None:
        text = show(secret)
        assert not any(hidden in text for hidden in (KEY, *API))

    @pytest.mark.parametrize("secret", every_secret(), ids=type)
    @pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_copies_and_pickles_are_refused(self, secret: object, how: Callable[[object], object]) -> None:
        with pytest.raises(TypeError, match="not copied or pickled"):
            how(secret)

    def test_secrets_are_equal_by_content_and_key_no_table(self) -> None:
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        with pytest.raises(TypeError):
            hash(Secret("a"))

    @given(st.text(max_size=60))
    def test_no_content_of_a_file_reaches_an_error(self, tmp_path_factory: pytest.TempPathFactory, tail: str) -> None:
        content = f"private_key = {KEY}{tail}"
        file = tmp_path_factory.getbasetemp() / "fuzzed.toml"
        file.write_bytes(content.encode("utf-8", "surrogatepass"))
        file.chmod(0o600)
        with pytest.raises(CredentialsError) as caught:
            load_secrets(CredentialsFile(path=str(file)))
        assert "abab" not in "".join(traceback.format_exception(caught.value))
