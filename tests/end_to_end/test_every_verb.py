"""Every verb that takes a run folder, on a run of every engine: what comes out is read, not only the exit status."""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support.personalized import KEY, Known, profile_of
from support.running import ENVIRONMENT, data_of
from support.small_hub import SmallHub
from support.upstream import upstream

import plus
from plus.jsonl import read_summaries, write_jsonl
from plus.models.language_model import LanguageModelSummarizer
from plus.policy import rewards_file
from plus.profiles.store import Store
from plus.recipes.stores import open_store, store_path
from plus.resources import shipped

ENGINES = [
    "select", pytest.param("tiny", marks=pytest.mark.reads_demo), pytest.param("write", marks=pytest.mark.slow),
]  # fmt: skip
USERS = 60  # of the demo's 4,048: every verb does the same for each
PROMPT, LIKES_ONE, LIKES_OTHER = "Tell me about home.", "I saw some cats.", "I saw some dogs."


class Tried(NamedTuple):
    """A run folder of one engine, and two of its users who have different summaries and held-out choices."""

    engine: str
    folder: Path
    one: str
    other: str

    @property
    def summaries(self) -> dict[str, str]:
        return read_summaries(self.folder / "summaries.jsonl")


@pytest.fixture(scope="module", params=ENGINES)
def run(request, tmp_path_factory) -> Tried:
    made = request.getfixturevalue({"select": "selected", "tiny": "demo", "write": "written"}[request.param])
    folder = tmp_path_factory.mktemp(request.param) / "run"
    shutil.copytree(made["run"] if request.param == "tiny" else made, folder)
    known = dict(list(read_summaries(folder / "summaries.jsonl").items())[-USERS:])
    write_jsonl(folder / "summaries.jsonl", ({"user_id": user, "summary": text} for user, text in known.items()))
    with open_store(folder) as store:
        judged = [user for user in known if known[user] and store.events(user, held_out=True)]
    other = next(user for user in judged if known[user] != known[judged[0]])
    return Tried(request.param, folder, judged[0], other)


@pytest.fixture
def verb(plus_here, monkeypatch):
    """A verb that has to succeed: (stdout, stderr)."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def call(*words, typed: str = "") -> tuple[str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        status, out, err = plus_here(*words)
        assert status == 0, err
        return out, err

    return call


def choices(path: Path, *users: str) -> Path:
    """Three choices of each user, the second user's the other way round."""
    rows = []
    for number, user in enumerate(users):
        pair = (LIKES_ONE, LIKES_OTHER)[:: -1 if number else 1]
        rows += [
            {"user_id": user, "timestamp": n, "prompt": PROMPT, "chosen": pair[0], "rejected": pair[1]}
            for n in range(3)
        ]  # fmt: skip
    write_jsonl(path, rows)
    return path


def test_load_gives_the_same_five_methods(run):
    opened = plus.load(run.folder)
    past = [{"prompt": PROMPT, "chosen": LIKES_ONE, "rejected": LIKES_OTHER}] * 3
    flipped = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in past]
    one, other = opened.summarize(past), opened.summarize(flipped)
    assert one and other and one != other
    assert 0 < opened.prefer(past, PROMPT, LIKES_ONE, LIKES_OTHER) < 1
    assert opened.prefer(past, PROMPT, LIKES_ONE, LIKES_OTHER) > opened.prefer(flipped, PROMPT, LIKES_ONE, LIKES_OTHER)
    scores = [opened.score(text, PROMPT, LIKES_ONE) for text in (one, other)]
    assert scores[0] != scores[1] and all(opened.count_tokens(text) > 0 for text in (one, other))
    rewards = opened.as_reward_function()([PROMPT] * 3, [LIKES_ONE] * 3, user_id=[run.one, run.other, "nobody"])
    assert len(set(rewards)) == 3
    triples = [(opened.summaries[user], PROMPT, LIKES_ONE) for user in (run.one, run.other)]
    assert opened.reward_model.rewards([*triples, ("", PROMPT, LIKES_ONE)]) == pytest.approx(rewards, abs=1e-5)


def test_summarize_a_file_again_and_with_new_choices(run, verb, tmp_path):
    file, output = choices(tmp_path / "c.jsonl", "ann", "bob"), tmp_path / "out.jsonl"
    _, err = verb("summarize", run.folder, file, "--output", output)
    first = read_summaries(output)
    assert f"2 summaries in {output}" in err and first["ann"] != first["bob"] and all(first.values())
    if run.engine == "select":
        assert first["ann"] == "\n".join([f"Chose: {LIKES_ONE}\nOver: {LIKES_OTHER}"] * 3)
    assert data_of(verb("summarize", run.folder, file, "--json")[0]) == first
    assert "2 users are unchanged" in verb("summarize", run.folder, file, "--output", output, "--resume")[1]
    row = {"user_id": "bob", "timestamp": 9, "prompt": PROMPT, "chosen": LIKES_ONE, "rejected": "I saw some fish."}
    with file.open("a") as more:
        more.write(json.dumps(row) + "\n")
    assert "1 users are unchanged" in verb("summarize", run.folder, file, "--output", output, "--resume")[1]
    again = read_summaries(output)
    assert again["ann"] == first["ann"] and len(output.read_text().splitlines()) == 3
    if run.engine == "select":
        assert again["bob"].endswith(f"Chose: {LIKES_ONE}\nOver: I saw some fish.")


def test_update_a_store_under_a_persons_edit(run, verb, tmp_path):
    store, file = tmp_path / "p.db", choices(tmp_path / "c.jsonl", "ann", "bob")
    out, err = verb("summarize", run.folder, file, "--update", "--store", store, "--held_out", "0")
    made = {row["user_id"]: row["summary"] for row in map(json.loads, out.splitlines())}
    assert set(made) == {"ann", "bob"} and "6 new events" in err and "2 summaries updated" in err
    verb("profile", "edit", "ann", "--add", "I live with a hamster.", "--store", store)
    assert "nobody has new choices" in verb("summarize", run.folder, file, "--update", "--store", store)[1]
    choices(tmp_path / "d.jsonl", "bob", "ann")
    verb("summarize", run.folder, tmp_path / "d.jsonl", "--update", "--store", store, "--held_out", "0")
    with Store(store) as opened:
        assert "I live with a hamster." in opened.summary("ann").text
        assert "I live with a hamster." not in opened.summary("bob").text


def test_profile_shows_scores_and_explains(run, verb):
    rows = data_of(verb("profile", "list", "--store", run.folder, "--json")[0])["users"]
    assert {row["user_id"]: row["text"] for row in rows}[run.one] == run.summaries[run.one]
    shown = data_of(verb("profile", "show", run.other, "--store", run.folder, "--json")[0])
    assert shown["text"] == run.summaries[run.other]
    found = data_of(verb("profile", "score", run.one, "--store", run.folder, "--json")[0])
    with open_store(run.folder) as store:
        pairs = [event.content for event in store.events(run.one, held_out=True)]
    opened = plus.load(run.folder)
    own = opened.reward_model.log_likelihood([run.summaries[run.one]] * len(pairs), pairs)
    assert found["score"]["log_likelihood"] == pytest.approx(sum(own) / len(own), abs=1e-3)
    worth = data_of(verb("profile", "why", run.one, "--store", run.folder, "--json")[0])["sentences"]
    assert {one["sentence"] for one in worth} == {s["text"] for s in shown_sentences(verb, run)}
    assert len({one["worth"] for one in worth}) > 1 or len(worth) == 1


def shown_sentences(verb, run) -> list[dict]:
    return data_of(verb("profile", "show", run.one, "--store", run.folder, "--json")[0])["sentences"]


def test_an_edit_flips_choices_and_score_lists_them(run, verb, tmp_path):
    """The opposite user's words turn predictions; the older version brings them back."""
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    opened = plus.load(folder)
    with open_store(folder) as store:
        user, text = next(
            (user, other)
            for user in run.summaries
            if (pairs := [event.content for event in store.events(user, held_out=True)]) and run.summaries[user]
            for other in dict.fromkeys(run.summaries.values())
            if turned(opened, pairs, run.summaries[user], other)
        )
    (tmp_path / "text").write_text(text)
    verb("profile", "edit", user, "--from", tmp_path / "text", "--store", folder)
    found = data_of(verb("profile", "score", user, "--store", folder, "--json")[0])
    assert found["flipped"] and found["before"]["score"] != found["score"]
    assert all((flip["before"] > -0.6931) != (flip["after"] > -0.6931) for flip in found["flipped"])
    assert "flipped to " in verb("profile", "score", user, "--store", folder)[0]
    verb("profile", "restore", user, "1", "--store", folder)
    back = data_of(verb("profile", "score", user, "--store", folder, "--json")[0])
    assert back["score"] == found["before"]["score"] and len(back["flipped"]) == len(found["flipped"])


def turned(opened, pairs, one: str, other: str) -> bool:
    a, b = (opened.reward_model.log_likelihood([text] * len(pairs), pairs) for text in (one, other))
    return any(
        (x > -0.69) != (y > -0.69) for x, y in zip(a, b, strict=True) if min(abs(x + 0.69), abs(y + 0.69)) > 0.01
    )


def test_gate_finds_a_threshold(run, verb):
    found = data_of(verb("gate", "--store", run.folder, "--json")[0])
    with open_store(run.folder) as store:
        held = sum(len(store.events(user, held_out=True)) for user in run.summaries if run.summaries[user])
    assert -1 <= found["threshold"] <= 1 and found["choices"] + found["other_half"]["choices"] == held
    assert found["gain_kept"] >= 0.95


def test_prompt_and_proxy_hold_the_text_of_the_user_who_asks(run, verb):
    bodies = []
    for user in (run.one, run.other):
        body = json.loads(verb("prompt", user, "Tell me.", "--show", "--store", run.folder)[0])
        assert profile_of(body) == json.dumps(run.summaries[user], ensure_ascii=False)[1:-1]
        bodies.append(body["messages"])
    assert bodies[0] != bodies[1]
    request = json.dumps({"model": "m", "user": run.one, "messages": [{"role": "user", "content": "Tell me."}]})
    sent = json.loads(verb("proxy", "--dry-run", "--store", run.folder, typed=request)[0])
    assert profile_of(sent) == json.dumps(run.summaries[run.one], ensure_ascii=False)[1:-1]


@pytest.mark.slow
def test_proxy_sends_the_text_to_a_real_upstream(run, tmp_path):
    import openai

    log = tmp_path / "log"
    command = [sys.executable, "-m", "plus", "proxy", "--port", "0", "--store", str(run.folder)]
    with upstream() as server, log.open("w") as file:
        environment = ENVIRONMENT | {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
        with subprocess.Popen(command, env=environment, stderr=file, stdout=file) as process:
            try:
                deadline = time.monotonic() + 300
                while not (found := re.search(r"listening on (\S+),", log.read_text())):
                    assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
                with openai.OpenAI(api_key="x", base_url=found[1]) as client:
                    for user in (run.one, run.other):
                        client.chat.completions.create(
                            model="m", messages=[{"role": "user", "content": "Tell me."}],
                            extra_headers={"X-Plus-User": user},
                        )  # fmt: skip
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        texts = [profile_of(body) for body in server.asked]
    assert texts == [json.dumps(run.summaries[user], ensure_ascii=False)[1:-1] for user in (run.one, run.other)]


def test_chat_asks_with_and_without_the_text_and_keeps_the_choice(run, verb):
    with upstream() as server:
        words = ["chat", run.one, "--store", run.folder, "--base_url", server.url, "--model", "m"]
        _, err = verb(*words, typed="Tell me.\nquit\n")
    assert "both answers are the same" in err
    current = data_of(verb("profile", "show", run.one, "--store", run.folder, "--json")[0])["text"]
    assert sorted(map(profile_of, server.asked)) == ["", json.dumps(current, ensure_ascii=False)[1:-1]]


def test_best_of_n_is_the_answer_that_the_reward_model_prefers(run, monkeypatch):
    import openai

    opened = plus.load(run.folder)
    answers = [LIKES_ONE, LIKES_OTHER, "I saw some fish."]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with upstream() as server:
        inner = openai.OpenAI(base_url=server.url)
        made = inner.chat.completions.create(model="m", messages=[{"role": "user", "content": PROMPT}])
        several = made.model_copy(update={"choices": [copied(made.choices[0], text) for text in answers]})
        monkeypatch.setattr(inner.chat.completions, "create", lambda **request: several)
        client = plus.PersonalizedOpenAI(inner, Known(run.summaries), rewards=opened.reward_model.rewards)
        ask = {"model": "m", "messages": [{"role": "user", "content": PROMPT}], "n": 3}
        best = client.chat.completions.create(user_id=run.one, rank="plus", **ask)
    scores = {text: opened.score(run.summaries[run.one], PROMPT, text) for text in answers}
    assert [choice.message.content for choice in best.choices] == sorted(answers, key=lambda text: -scores[text])
    assert best.choices[0].plus_reward == pytest.approx(max(scores.values()), abs=1e-4)


def copied(choice, text: str):
    return choice.model_copy(update={"message": choice.message.model_copy(update={"content": text})})


@pytest.mark.parametrize("form", ["jsonl", "markdown", "csv", "parquet", "openai", "trl"])
def test_export_holds_the_texts_and_import_reads_them_back(run, verb, tmp_path, form):
    output = tmp_path / f"out.{form}"
    _, err = verb("export", "--store", run.folder, "--format", form, "--output", output)
    with open_store(run.folder) as store:
        current = {user: summary.text for user in store.users() if (summary := store.summary(user))}
    assert f"{len(current):,} users" in err
    if form in ("jsonl", "markdown"):
        verb("import", output, "--store", tmp_path / "new.db")
        with Store(tmp_path / "new.db") as store:
            assert {user: store.summary(user).text for user in current} == current
    elif form == "parquet":
        from pyarrow.parquet import read_table

        rows = read_table(output).to_pylist()
        assert {row["user_id"]: row["text"] for row in rows} == current
    else:
        text = output.read_text(encoding="utf-8")
        line = current[run.one].splitlines()[0]
        assert line in text or json.dumps(line, ensure_ascii=False)[1:-1] in text


def test_a_token_limit_keeps_whole_sentences(run, verb, tmp_path):
    output, limit = tmp_path / "short.jsonl", 24
    verb("export", "--store", run.folder, "--max_tokens", limit, "--output", output)
    opened = plus.load(run.folder)
    for row in map(json.loads, output.read_text().splitlines()):
        assert opened.count_tokens(row["text"]) <= limit
        for line in row["text"].splitlines():
            assert line in run.summaries[row["user_id"]] or row["version"] > 1


def test_a_run_is_imported_into_another_store(run, verb, tmp_path):
    verb("import", run.folder, "--store", tmp_path / "p.db")
    with Store(tmp_path / "p.db") as store:
        assert {user: store.summary(user).text for user in (run.one, run.other)} == {
            user: run.summaries[user] for user in (run.one, run.other)
        }


def test_push_writes_both_models_and_no_text_of_anybody(run, verb, tmp_path):
    staged = tmp_path / "staged"
    verb("push", run.folder, "--output_dir", staged)
    opened, here = plus.load(staged), plus.load(run.folder)
    text = run.summaries[run.one]
    assert opened.score(text, PROMPT, LIKES_ONE) == pytest.approx(here.score(text, PROMPT, LIKES_ONE), abs=1e-6)
    everything = b"".join(path.read_bytes() for path in staged.rglob("*") if path.is_file())
    assert text.encode() not in everything and str(run.folder).encode() not in everything
    card = (staged / "README.md").read_text()
    assert "Judged on users it has never met" in card and 'plus.load("this repository")' in card


@pytest.mark.slow
def test_pushed_to_a_hub_and_loaded_from_it(run, tmp_path):
    code = "import plus, sys\nprint(plus.load(sys.argv[1]).score('Likes cats.', 'Whom?', 'Cats.'))"
    with SmallHub("hf_token") as hub:
        environment = {
            **ENVIRONMENT, "HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_token", "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        }  # fmt: skip
        found = [
            subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=600)
            for words in (["-m", "plus", "push", str(run.folder), "me/r"], ["-c", code, "me/r"])
        ]
        hub.shutdown()
    assert [done.returncode for done in found] == [0, 0], [done.stderr[-800:] for done in found]
    assert float(found[1].stdout) == pytest.approx(
        plus.load(run.folder).score("Likes cats.", "Whom?", "Cats."), abs=1e-5
    )


def test_the_reward_model_sits_on_the_judges_panel(run, verb, tmp_path):
    words = ["judge", "--store", run.folder, "--reward_model", "--max_users", "6", "--output_dir", tmp_path / "out"]
    found = data_of(verb(*words, "--json")[0])["accuracy"]["the run's reward model"]
    assert found["summary"]["mean"] != found["nothing"]["mean"]


@pytest.mark.slow
def test_love_reads_the_summaries_of_a_run(run, verb, tmp_path):
    users = list(run.summaries)[:12]
    rows = [
        {"user_id": user, "prompt": "?", "completion": f"Answer {n % 5}.", "label": (n + number) % 3 == 0}
        for number, user in enumerate(users)
        for n in range(8)
    ]
    write_jsonl(tmp_path / "reactions.jsonl", rows)
    words = ["love", tmp_path / "reactions.jsonl", "--condition", "summary", "--summaries", run.folder]
    found = data_of(verb(*words, "--max_steps", "2", "--output_dir", tmp_path / "love", "--json")[0])
    assert found["users"] == len(users) and "another user's text" in found["auroc"]
    opened = plus.Love.load(tmp_path / "love")
    scores = opened.as_reward_function()(["?"] * 2, ["Answer 1."] * 2, summary=[run.summaries[run.one], ""])
    assert scores[0] != scores[1]


def test_a_run_is_a_goal_of_a_policy(run, tmp_path):
    (tmp_path / "goals.yaml").write_text(f"goals:\n  personal: {{run: {run.folder}}}\n")
    (goal,) = rewards_file.read(tmp_path / "goals.yaml").goals.goals
    texts = [run.summaries[run.one], run.summaries[run.other]]
    found = goal.reward(prompts=[PROMPT] * 2, completions=[LIKES_ONE] * 2, summary=texts)
    opened = plus.load(run.folder)
    assert found == pytest.approx([opened.score(text, PROMPT, LIKES_ONE) for text in texts], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "best_of_n"])
def test_a_policy_is_trained_on_a_run(run, verb, tmp_path, method):
    users = list(run.summaries)[:10]
    write_jsonl(tmp_path / "p.jsonl", [{"prompt": f"Tell me {n}.", "user_id": users[n % 10]} for n in range(40)])
    (tmp_path / "goals.yaml").write_text(f"goals:\n  personal: {{run: {run.folder}}}\n")
    words = ["policy", tmp_path / "p.jsonl", "--goals", tmp_path / "goals.yaml", "--summaries", run.folder]
    words += ["--model_name_or_path", shipped("tiny_base"), "--method", method, "--max_steps", "1"]
    words += ["--per_device_train_batch_size", "16", "--num_generations", "4", "--max_completion_length", "12"]
    report = data_of(verb(*words, "--output_dir", tmp_path / "policy", "--json")[0])
    assert report["set_aside"] == [] and report["method"] == method


@pytest.mark.slow
def test_audit_runs_every_control_of_the_texts(run, verb, tmp_path):
    words = ["audit", run.folder, "--other_run", run.folder, "--null_steps", "2", "--output_dir", tmp_path / "audit"]
    found = data_of(verb(*words, "--json")[0])
    assert {"own", "shuffled", "empty", "opposite", "raw_history"} <= set(found["readings"])
    assert found["label_flip"]["rate"]["targets"] > 0 and found["learning_curve"] and found["null"]
    (reading,) = found["portability"].values()
    assert reading["own"]["mean"] == pytest.approx(found["readings"]["own"]["mean"])
    assert not {"label flip", "portability", "learning curve", "null run", "raw history"} & set(found["not_run"])
    if run.engine == "select":
        assert "quote the past" in found["not_run"]["faithfulness"] or "real people" in found["not_run"]["faithfulness"]


@pytest.mark.slow
def test_a_reader_of_true_personas_is_trained_by_the_runs_own_engine(verb, tmp_path):
    words = ["train", "--dataset_name", "pets", "--output_dir", tmp_path / "run", "--max_steps", "20"]
    verb(*words)
    found = data_of(verb("audit", tmp_path / "run", "--persona_steps", "20", "--json")[0])
    assert found["portability"]["a reward model trained on true personas"]["own"]["mean"] > 0.9
    assert "quote the past" in found["not_run"]["faithfulness"]


def test_a_forgotten_user_is_gone_from_store_and_run(run, verb, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    store_path(folder).unlink(missing_ok=True)
    verb("profile", "list", "--store", folder)
    assert "sound" in verb("doctor", "--store", folder)[0]
    verb("forget", run.one, "--store", folder)
    assert run.one not in read_summaries(folder / "summaries.jsonl")
    assert run.one not in plus.load(folder).summaries and run.other in plus.load(folder).summaries
    with open_store(folder) as store:
        assert run.one not in store.users()


def test_a_run_is_no_data(run, plus_here):
    status, _, err = plus_here("data", "check", run.folder)
    assert status == 2 and len(err.strip().splitlines()) == 1 and "is a run folder" in err


def test_a_tokenizer_is_asked_of_language_models_alone(run):
    """What the two engines differ in; a verb that needs it has to ask which it is."""
    summarizer = plus.load(run.folder).summarizer
    assert isinstance(summarizer, LanguageModelSummarizer) == (run.engine == "tiny")
    assert hasattr(summarizer, "tokenizer") == (run.engine == "tiny")
