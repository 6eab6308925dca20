"""`plus judge`: does a summary help a model, and would another judge say so too?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plus.cli.dry_run import DryRun, show_outgoing
from plus.cli.show import SCREEN, loading, print_json, results, say
from plus.cli.stores import AsJson, StoreFile, load_run, open_store

OutputDir = Annotated[
    Path, typer.Option(help="Folder of judgments.jsonl and the report; one that is there is continued, for free.")
]
JudgeModel = Annotated[list[str] | None, typer.Option(help="A judge behind --base_url; give several.")]
AnswerModel = Annotated[
    str | None, typer.Option(help="The model behind --base_url whose answers are compared. Default: none are.")
]
BaseUrl = Annotated[
    str | None, typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Their address, which ends in /v1.")
]
RewardModel = Annotated[bool, typer.Option("--reward_model", help="The run's reward model is a judge too.")]
Run = Annotated[Path | None, typer.Option("--run", help="Its run folder. Default: the store's.")]
Checklist = Annotated[
    bool,
    typer.Option("--checklist/--no-checklist", help="Each judge also checks the user's summary point by point."),
]
MaxUsers = Annotated[int | None, typer.Option(help="Take the first so many users.", min=2)]
MaxChoices = Annotated[int, typer.Option(help="Held-out choices of each user.", min=1)]
PastEvents = Annotated[int, typer.Option(help="Newest events pasted in as the history.", min=1)]

Workers = Annotated[int, typer.Option(help="Requests at once.", min=1)]
Timeout = Annotated[float, typer.Option(help="Seconds for one reply; a slower one is no judgment.", min=0.1)]


def judge(
    output_dir: OutputDir,
    judge_model: JudgeModel = None,
    answer_model: AnswerModel = None,
    base_url: BaseUrl = None,
    reward_model: RewardModel = False,
    run: Run = None,
    checklist: Checklist = True,
    max_users: MaxUsers = 50,
    max_choices: MaxChoices = 4,
    past_events: PastEvents = 8,
    workers: Workers = 8,
    timeout: Timeout = 60.0,
    store: StoreFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Predict held-out choices given the summary, the history or nothing; compare answers with and without them.

    Every judge is asked in both orders and three wordings; ties are counted, habits of place and length are measured,
    and results are given for each judge and as the band over them. Replies are kept: the same command again sends
    nothing. Sends users' summaries, past and held-out choices to --base_url, with your OPENAI_API_KEY.

    Example: plus judge --store runs/demo-0 --judge_model gpt-5 --base_url https://api.openai.com/v1 --output_dir out
    """
    with loading("loading"):
        from plus.judge import run as room
    options: dict[str, Any] = {
        "judge_models": judge_model or [], "answer_model": answer_model, "base_url": base_url or "",
        "checklist": checklist, "max_users": max_users, "max_choices": max_choices, "past_events": past_events,
        "workers": workers, "timeout": timeout,
    }  # fmt: skip
    room.JudgeSettings(**options).check(reward_model)
    with open_store(store) as opened:
        # The exact bytes, as far as they do not depend on replies.
        if dry_run:
            requests, prompts = room.outgoing(opened, reward_model, **options)
            show_outgoing(requests, as_json)
            if answer_model:
                say(
                    f"then the four answers to each of {prompts:,} prompts would go to the judges, two at a time: "
                    "their text is not known yet"
                )
            return
        scorer = load_run(opened, run)[0].reward_model if reward_model else None
        found = room.judge(opened, output_dir, scorer, SCREEN, **options)
    # The report for a program or for a person; the costs on stderr.
    if as_json:
        print_json(found.report.to_json())
    else:
        results.print(found.page, markup=False, soft_wrap=True)
        say(f"report.md, report.json and judgments.jsonl in {found.folder}")
    say(f"{found.sent:,} requests sent, {found.known:,} replies were known")
    if found.slow:
        say(f"{found.slow:,} replies did not come in {timeout:g} s and count as unclear; the same command asks again")
