"""The serving side with a model that really answers: SmolLM2 on llama.cpp, each verb as a process of its own.

What is asserted holds for any answer: that the model is asked, that what comes back is used as each verb says, and that
what it cannot use is counted. One answer is asserted letter for letter: a fact, at temperature 0.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request

import openai
import pytest
from support.judged import judged_store
from support.llama_server import MODEL, llama_server, smollm2_file
from support.running import ENVIRONMENT, data_of

from plus.profiles.saving import save_user
from plus.profiles.store import Store

__all__ = ["llama_server", "smollm2_file"]
pytestmark = pytest.mark.slow
FRANCE = "What is the capital of France? Answer in one sentence."
SCHEMA = {
    "type": "object", "required": ["city"], "additionalProperties": False,
    "properties": {"city": {"type": "string", "maxLength": 40}},
}  # fmt: skip
STRUCTURED = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}


def plus(*arguments, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plus", *map(str, arguments)]
    environment = {**ENVIRONMENT, "OPENAI_API_KEY": "none"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, input=stdin)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "p.db") as opened:
        save_user(opened, "ann", "The user likes cats best. The user wants short answers.", 0)
    return tmp_path / "p.db"


@pytest.fixture
def talks(tmp_path):
    """A complaint and what came after, as a log has it."""
    turns = [
        ("user", "Explain rain."), ("assistant", "Rain is water that falls. " * 20),
        ("user", "That is much too long, I wanted one sentence."), ("assistant", "Rain is water falling from clouds."),
        ("user", "Thanks, perfect!"), ("assistant", "You are welcome."),
    ]  # fmt: skip
    messages = [{"role": role, "content": text} for role, text in turns]
    path = tmp_path / "talks.jsonl"
    path.write_text(json.dumps({"user_id": "ann", "messages": messages}) + "\n")
    return path


@pytest.fixture
def proxy(llama_server, store, tmp_path):
    """The address of `plus proxy` before the model."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "plus", "proxy", "--port", "0", "--store", str(store), "--upstream", llama_server]
    environment = {**ENVIRONMENT, "OPENAI_API_KEY": "none"}
    with log.open("w") as file, subprocess.Popen(command, env=environment, stderr=file, stdout=file) as process:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"listening on (\S+),", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        address = found[1].removesuffix("/v1")
        yield openai.OpenAI(api_key="none", base_url=f"{address}/v1", timeout=300), log
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_the_model_reads_the_tokens_that_its_converted_folder_reads(llama_server):
    """llama.cpp's tokenizer and transformers' on the same file: one text, one list of numbers."""
    from plus.models.loading import load_tokenizer

    text = "<|im_start|>user\nThey asked: café, 12,345?\n\n  Ünïcode ☂ and    spaces<|im_end|>\n"
    body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
    request = urllib.request.Request(
        llama_server.replace("/v1", "/tokenize"), body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        theirs = json.load(answer)["tokens"]
    assert load_tokenizer("smollm2")(text, add_special_tokens=False).input_ids == theirs


def test_proxy_hands_on_answers_streams_and_structured_output(proxy):
    client, log = proxy
    ask = {"model": MODEL, "temperature": 0, "max_tokens": 40}
    plain = client.chat.completions.create(messages=[{"role": "user", "content": FRANCE}], **ask)
    assert plain.choices[0].message.content == "The capital of France is Paris."
    # For a user the profile is read: the prompt is longer, by the profile's tokens.
    own = client.chat.completions.create(messages=[{"role": "user", "content": FRANCE}], user="ann", **ask)
    assert own.usage.prompt_tokens > plain.usage.prompt_tokens + 30 and own.choices[0].message.content
    streamed = client.chat.completions.create(
        messages=[{"role": "user", "content": FRANCE}], user="nobody", stream=True, **ask
    )
    parts = [chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices]
    assert "".join(parts) == "The capital of France is Paris." and len(parts) > 3
    # The schema is obeyed with a profile before it.
    shaped = client.chat.completions.create(
        messages=[{"role": "user", "content": "Name a city."}], user="ann", response_format=STRUCTURED, **ask
    )
    assert set(json.loads(shaped.choices[0].message.content)) == {"city"}
    assert "Traceback" not in log.read_text()


def test_chat_answers_with_and_without_the_profile(llama_server, store):
    typed = f"{FRANCE}\na\nquit\n"
    done = plus("chat", "ann", "--store", store, "--base_url", llama_server, "--model", MODEL, stdin=typed)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "Paris" in done.stdout


def test_signals_and_pairs_use_its_words_or_count_them(llama_server, store, talks, tmp_path):
    asked = ("--model", MODEL, "--base_url", llama_server)
    done = plus("signals", talks, *asked, "--json")
    assert done.returncode == 0, done.stderr
    assert data_of(done.stdout)
    assert plus("ingest", talks, "--store", store).returncode == 0
    out = tmp_path / "pairs.jsonl"
    done = plus(
        "pairs", "--store", store, "--engine", "rules", "--rewrite_model", MODEL, "--base_url", llama_server,
        "--output", out, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows and all(row["chosen"] != row["rejected"] for row in rows)


def test_judge_asks_it_and_a_slow_reply_is_no_judgment(llama_server, tmp_path):
    """A judge of 135M parameters rambles: what takes over 4 s is counted, the rest is kept for the next time."""
    out = ("--store", judged_store(tmp_path), "--output_dir", tmp_path / "out", "--no-checklist")
    few = ("--judge_model", MODEL, "--max_users", "2", "--max_choices", "1", "--timeout", "4", "--workers", "1")
    done = plus("judge", *out, *few, "--base_url", llama_server)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "out" / "judgments.jsonl").read_bytes()
    assert {json.loads(line)["user_id"] for line in kept.splitlines()} == {"u0", "u1"}
    assert MODEL in (tmp_path / "out" / "report.md").read_text()
    again = plus("judge", *out, *few, "--base_url", "http://127.0.0.1:9/v1")
    assert again.returncode == 2 and "could not be reached" in again.stderr
    assert (tmp_path / "out" / "judgments.jsonl").read_bytes() == kept


def test_summarize_asks_it_for_a_text_about_each_user(llama_server, tmp_path):
    choices = tmp_path / "choices.jsonl"
    row = {"prompt": "Tell me about home.", "chosen": "A short line.", "rejected": "A very long line, " * 8}
    choices.write_text("".join(json.dumps({"user_id": user, **row}) + "\n" for user in ("ann", "bob")))
    done = plus("summarize", llama_server, choices, "--model", MODEL, "--json")
    assert done.returncode == 0, done.stderr
    found = data_of(done.stdout)
    assert found.keys() == {"ann", "bob"} and all(text.strip() for text in found.values())
