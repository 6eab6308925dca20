"""One JSON shape for every verb with --json: {ok, data, warnings, error}, as docs/reference/json.md says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.running import ROOT, data_of
from support.upstream import upstream
from typer.main import get_command

from plus.cli import show
from plus.cli.main import app
from plus.errors import ProfileError
from plus.profiles.saving import save_user
from plus.profiles.store import Store
from plus.types import Entry, Event, Preference

PAGE = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
DOCUMENTED = dict(re.findall(r"^\| `plus ([a-z ]+)` \| (.+) \|$", PAGE, re.M))
# In this order; each is run on what the ones before have left. {0} is the folder, {1} a server's address.
RUN = """data check {0}/c.jsonl
data split {0}/c.jsonl --output_dir {0}/splits
ingest {0}/talks.jsonl
signals {0}/talks.jsonl --engine rules
pairs --output {0}/pairs.jsonl
profile list
profile show ann
profile edit ann --add More.
profile history ann
profile diff ann
profile restore ann 1
profile tell ann Hm --model m --base_url {1}
profile lock ann s1
profile forbid ann Never.
profile pause ann s2
profile resume ann s2
profile rules --add health
profile actions
profile events ann
profile export ann
profile erase ann s2
export --output {0}/out.jsonl
import {0}/out.jsonl
prompt ann
summarize {1} {0}/c.jsonl --model m
wording --model m --base_url {1} --dry-run
doctor
backup {0}/b.db
restore {0}/b.db --store {0}/again.db
store copy {0}/p.db {0}/copy.db
forget ann
train --dataset_name pets --preset tiny --output_dir {0}/r --dry-run"""
# Need a run, whose tests read their data through `data_of`; here their errors.
ELSEWHERE = {
    "demo", "evaluate", "audit", "benchmark", "judge", "love", "policy", "push", "gate", "profile score", "profile why",
}  # fmt: skip


def verbs() -> set[str]:
    """Names of the verbs that take --json."""

    def walk(command, name):
        if hasattr(command, "commands"):
            for child in command.commands.values():
                yield from walk(child, f"{name} {child.name}".strip())
        elif any("--json" in parameter.opts for parameter in command.params):
            yield name

    return set(walk(get_command(app), ""))


def verb_of(words: list[str]) -> str:
    return " ".join(words[: 2 if words[0] in ("data", "profile", "store") else 1])


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PLUS_STORE", str(tmp_path / "p.db"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with Store(tmp_path / "p.db") as store:
        save_user(store, "ann", "Likes cats. Talks of music.", 0)
        choice = Preference("Tell me.", "I saw cats.", "I saw dogs.")
        store.add_events([Entry("ann", Event("e1", "choice", choice, 1.0), "talk-1", False)])
    rows = [{"user_id": f"u{n % 5}", "prompt": "Hi", "chosen": f"a {n}", "rejected": f"b {n}"} for n in range(40)]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Perfect, thanks!"}]  # fmt: skip
    (tmp_path / "talks.jsonl").write_text(json.dumps({"id": "c1", "user_id": "bob", "conversation": said}) + "\n")
    return tmp_path


def test_every_verb_is_tried_and_documented():
    tried = {verb_of(line.split()) for line in RUN.splitlines()}
    assert verbs() == tried | ELSEWHERE == DOCUMENTED.keys()


def test_every_verb_prints_the_one_shape_with_the_documented_data(folder, plus_here):
    with upstream() as server:
        for line in RUN.splitlines():
            words = line.format(folder, server.url).split()
            if words[1:2] == ["tell"]:
                server.answers.append('{"add": ["Likes tea."]}')
            status, out, err = plus_here(*words, "--json")
            assert status == 0, (line, err)
            assert has_documented_keys(verb_of(words), data_of(out)), line


def has_documented_keys(verb: str, data: dict) -> bool:
    """Whether the data has the keys of the page; some verbs have keys of their own beside those, or alone."""
    wanted = set(re.findall(r"`([^`]+)`", DOCUMENTED[verb]))
    if data.keys() == {"requests", "sent"}:
        return "`requests` and `sent`" in PAGE
    return data.keys() == wanted or (("a count for each" in DOCUMENTED[verb] or not wanted) and wanted <= data.keys())


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_a_command_line_that_cannot_be_read_is_told_in_the_one_shape(verb, plus_here):
    status, out, err = plus_here(*verb.split(), "--json", "--no_such_option", "x", "y", "z", "w", "v")
    if verb in ("train", "policy"):  # They take any option of TRL's, so one of theirs is told by the verb.
        assert data_of(out, json.loads(out)["error"]["kind"]) is None
    else:
        assert data_of(out, "usage") is None
    assert status == json.loads(out)["error"]["status"] == 2 and err.startswith("plus: ")
    assert json.loads(out)["error"]["message"] in " ".join(err.split())


@pytest.mark.parametrize(
    ("line", "status", "kind"),
    [
        ("profile show nobody", 4, "unknown_user"),
        ("profile edit ann --add x --base 0", 3, "conflict"),
        ("profile show gone", 5, "forgotten"),
        ("profile pause ann s9", 2, "profile"),
        ("data check nowhere.jsonl", 2, "source"),
        ("evaluate nowhere", 2, "model"),
        ("forget ann nobody", 6, "in_part"),
        ("import {0}/bad.jsonl", 2, "source"),
        ("import {0}/half.jsonl", 6, "in_part"),
        ("profile show ann -o json --version 9", 4, "unknown_user"),
    ],
)
def test_errors_have_the_documented_status_and_kind(line, status, kind, folder, plus_here):
    (folder / "bad.jsonl").write_text("no json\n")
    (folder / "half.jsonl").write_text('no json\n{"user_id": "new", "text": "Likes tea."}\n')
    with Store(folder / "p.db") as store:
        save_user(store, "gone", "Likes cats.", 0)
    assert plus_here("forget", "gone")[0] == 0
    found, out, err = plus_here(*line.format(folder).split(), *([] if "-o" in line else ["--json"]))
    data_of(out, kind)
    error = json.loads(out)["error"]
    assert (found, error["status"]) == (status, status), err
    assert f"| {status} |" in (ROOT / "docs" / "reference" / "statuses.md").read_text()
    assert f"`{kind}`" in PAGE


def test_what_is_said_on_stderr_stands_in_warnings(folder, plus_here):
    (folder / "half.jsonl").write_text('no json\n{"user_id": "new", "text": "Likes tea."}\n')
    _, out, err = plus_here("import", folder / "half.jsonl", "--json")
    (line,) = json.loads(out)["warnings"]
    assert "lines that are no JSON object" in line and line in err
    assert json.loads(plus_here("profile", "list", "--json")[1])["warnings"] == [], "of this command alone"


def test_rows_that_fail_half_way_are_still_one_object(capsys, monkeypatch):
    monkeypatch.setattr(show, "reply", show.Reply())

    def rows():
        yield {"user_id": "ann"}
        raise ProfileError("the disk is gone")

    with pytest.raises(ProfileError):
        show.print_json_rows(rows(), "users")
    assert data_of(capsys.readouterr().out, "profile") == {"users": [{"user_id": "ann"}]}
    assert show.reply.is_printed, "no second object follows"
    show.print_json_rows(iter([]), "users", lambda: {"total": 0})
    assert data_of(capsys.readouterr().out) == {"users": [], "total": 0}
