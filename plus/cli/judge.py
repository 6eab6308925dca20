"""`plus judge`: does a summary help a model, and would another judge say so too?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plus.cli.dry_run import DryRun, catcher, show_outgoing
from plus.cli.show import loading, notes, print_json, results, say
from plus.cli.stores import AsJson, StoreFile, load_run, open_store

if TYPE_CHECKING:
    import httpx2

    from plus.judge.panel import WriterOf
    from plus.judge.questions import Person, Seat
    from plus.judge.reply_cache import Replies

ANSWER_TOKENS, VERDICT_TOKENS = 1024, 1024  # verdicts are a letter, or a line a point; models that think take more


def judge(
    output_dir: Annotated[
        Path, typer.Option(help="Folder of judgments.jsonl and the report; one that is there is continued, for free.")
    ],
    judge_model: Annotated[list[str] | None, typer.Option(help="A judge behind --base_url; give several.")] = None,
    answer_model: Annotated[
        str | None, typer.Option(help="The model behind --base_url whose answers are compared. Default: none are.")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Their address, which ends in /v1."),
    ] = None,
    reward_model: Annotated[
        bool, typer.Option("--reward_model", help="The run's reward model is a judge too.")
    ] = False,
    run: Annotated[Path | None, typer.Option("--run", help="Its run folder. Default: the store's.")] = None,
    checklist: Annotated[
        bool,
        typer.Option("--checklist/--no-checklist", help="Each judge also checks the user's summary point by point."),
    ] = True,
    max_users: Annotated[int | None, typer.Option(help="Take the first so many users.", min=2)] = 50,
    max_choices: Annotated[int, typer.Option(help="Held-out choices of each user.", min=1)] = 4,
    past_events: Annotated[int, typer.Option(help="Newest events pasted in as the history.", min=1)] = 8,
    store: StoreFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Predict held-out choices given the summary, the history or nothing; compare answers written with them and without.

    Every judge is asked in both orders and three wordings; ties are counted, habits of place and length are measured, and results are
    given for each judge and as the band over them. Replies are kept: the same command again sends nothing. Sends users'
    summaries, past and held-out choices to --base_url, with your OPENAI_API_KEY.

    Example: plus judge --store runs/demo-0 --judge_model gpt-5-mini --answer_model gpt-5 --base_url https://api.openai.com/v1 --output_dir judged --dry-run
    """  # fmt: skip
    from plus.errors import SettingError

    if not judge_model and not reward_model:
        raise SettingError("nobody judges; give --judge_model NAME with --base_url, or --reward_model")
    if (judge_model or answer_model) and not base_url:
        raise SettingError("--judge_model and --answer_model stand behind --base_url, which is missing")
    with loading("loading"):
        from plus.judge import questions
    with open_store(store) as opened:
        persons = questions.people(opened, past_events, max_users, max_choices)
        if dry_run:
            _show(persons, base_url or "", judge_model or [], answer_model, checklist, as_json)
            return
        scorer = load_run(opened, run)[0].reward_model if reward_model else None
    from plus.judge.reply_cache import Replies

    output_dir.mkdir(parents=True, exist_ok=True)
    (output_dir / "judgments.jsonl").touch(mode=0o600)  # It holds what people said.
    replies = Replies(output_dir / "judgments.jsonl")
    panel = _panel(replies, base_url or "", judge_model or [], checklist)
    if scorer is not None:
        from plus.judge.panel import by_scorer

        panel["the run's reward model"] = questions.Seat(by_scorer(scorer), compares_by="summary")
    found = _hear(persons, panel, replies, base_url or "", answer_model)
    _write(output_dir, found, as_json)
    say(f"{replies.sent:,} requests sent, {replies.known:,} replies were known")


def _hear(
    persons: list[Person], panel: dict[str, Seat], replies: Replies, base_url: str, answer_model: str | None
) -> dict[str, Any]:
    from plus.judge import questions, report

    with notes.status("predicting held-out choices"):
        choices = questions.choices_judged(persons, panel)
    compared: list[questions.Judgment] = []
    if answer_model:
        with notes.status("writing answers"):
            written = questions.answers(persons, _writers(replies, base_url, answer_model, ANSWER_TOKENS))
        with notes.status("comparing answers"):
            compared = questions.answers_judged(persons, panel, written)
    return report.report(choices, compared)


def _panel(replies: Replies | None, base_url: str, models: list[str], checklist: bool, http: httpx2.Client | None = None) -> dict[str, Seat]:  # fmt: skip
    """Every judge by name: each model in each wording, and with the checklist."""
    from plus.judge.panel import by_checklist, prompted
    from plus.judge.questions import Seat
    from plus.prompts import JUDGES

    panel: dict[str, Seat] = {}
    for model in models:
        writers = _writers(replies, base_url, model, VERDICT_TOKENS, http)
        for name, instruction in JUDGES.items():
            panel[f"{model}, {name}"] = Seat(prompted(writers, instruction))
        if checklist:
            panel[f"{model}, checklist"] = Seat(by_checklist(writers), ("summary",), "summary")
    return panel


def _writers(replies: Replies | None, base_url: str, model: str, max_tokens: int, http: httpx2.Client | None = None) -> WriterOf:  # fmt: skip
    from plus.serve.endpoint import Endpoint

    key = "none" if http is not None else None  # What is caught needs none.
    endpoint = Endpoint(base_url, model, key, max_tokens, http_client=http)
    if replies is None:
        return lambda user_id: endpoint
    return lambda user_id: replies.of(endpoint, f"{model}, {max_tokens} tokens", user_id)


def _show(persons: list[Person], base_url: str, models: list[str], answer_model: str | None, checklist: bool, as_json: bool) -> None:  # fmt: skip
    """What would be sent, as far as it does not hang on replies."""
    from plus.judge import questions

    caught = catcher()
    questions.choices_judged(persons, _panel(None, base_url, models, checklist, caught.client))
    if answer_model:
        questions.answers(persons, _writers(None, base_url, answer_model, ANSWER_TOKENS, caught.client))
    show_outgoing(caught.outgoing, as_json)
    if answer_model:
        targets = sum(len(person.choices) for person in persons)
        say(f"then the three answers to each of {targets:,} prompts would go to the judges, two at a time: their text is not known yet")  # fmt: skip


def _write(folder: Path, found: dict[str, Any], as_json: bool) -> None:
    from plus.jsonl import write_json
    from plus.judge import report

    notes_of = [
        "A judge that compares answers reads the user's history, a checklist and the reward model the summary: the first "
        "favours answers written from the history, the others those written from the summary.",
        "Every word sent and received is in judgments.jsonl.",
    ]
    write_json(folder / "report.json", found)
    text = report.page(found, "Judged", notes_of)
    (folder / "report.md").write_text(text, encoding="utf-8")
    if as_json:
        print_json(found)
    else:
        results.print(text, markup=False, soft_wrap=True)
        say(f"report.md, report.json and judgments.jsonl in {folder}")
