"""`plus proxy`, an OpenAI-compatible server that knows the users; `plus gate` and `plus wording` measure for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from plus.cli.dry_run import BaseUrl, Placement, catcher, show_outgoing
from plus.cli.dry_run import DryRun as DryRunAll
from plus.cli.show import loading, notes, print_json, say
from plus.cli.stores import AsJson, RunFolder, StoreFile, load_run, open_store, print_rows, shape_of, store_path

if TYPE_CHECKING:
    from plus.serve.gate import Encode

OPENAI = "https://api.openai.com/v1"
Upstream = Annotated[
    str,
    typer.Option(envvar="OPENAI_BASE_URL", show_envvar=True, help="Where requests go: an address that ends in /v1."),
]
Host = Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with --tokens.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
Tokens = Annotated[
    Path | None, typer.Option(help="File of the apps that may use it, a line each: NAME TOKEN [USER,...].")
]
MaxTokens = Annotated[int, typer.Option(help="Of a profile: whole sentences that fit.", min=1)]
OnUnknown = Annotated[
    Literal["plain", "error"], typer.Option(help="For users without a summary, or nobody: forward as it is, or refuse.")
]
UserHeader = Annotated[
    list[str] | None,
    typer.Option(help="Another header that names the user, as X-OpenWebUI-User-Id; may be given again."),
]
Routes = Annotated[
    list[str] | None, typer.Option("--route", help="First word of further paths to hand on, as files; repeatable.")
]
Origins = Annotated[
    list[str] | None, typer.Option("--origin", help="A web page whose scripts may ask, as https://app.example (CORS).")
]
Ids = Annotated[bool, typer.Option("--ids/--no-ids", help="Add safety_identifier and prompt_cache_key, as hashes.")]
Workers = Annotated[int, typer.Option(help="Processes that answer.", min=1)]
Grace = Annotated[int, typer.Option(help="Seconds for open answers at the end.", min=0)]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for the upstream's next byte.", min=0.1)]
Threshold = Annotated[
    float | None,
    typer.Option(help="Relevance (cosine) below which a prompt goes without the summary; plus gate finds it."),
]
MaxConnections = Annotated[int, typer.Option(help="Requests at once; the next one is told 503.", min=1)]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Read one request on stdin, print the exact bytes that it would become, and send nothing."
    ),
]
AskedModel = Annotated[str, typer.Option(help="The model that answers.")]
Asking = Annotated[int, typer.Option(help="Requests at once.", min=1)]
Keep = Annotated[float, typer.Option(help="Share of the summaries' gain that must not be given up.", min=0.5, max=1)]


def proxy(
    upstream: Upstream = OPENAI,
    host: Host = "127.0.0.1",
    port: Port = 8787,
    tokens: Tokens = None,
    placement: Placement = "system",
    max_tokens: MaxTokens = 512,
    on_unknown: OnUnknown = "plain",
    timeout: Timeout = 600.0,
    gate: Threshold = None,
    max_connections: MaxConnections = 500,
    user_header: UserHeader = None,
    route: Routes = None,
    origin: Origins = None,
    ids: Ids = True,
    workers: Workers = 1,
    grace: Grace = 30,
    dry_run: DryRun = False,
    store: StoreFile = None,
) -> None:
    """Personalize any program with a base URL: the user is X-Plus-User, or the request's safety_identifier or user.

    Sends each request, with the user's summary, to the upstream with your OPENAI_API_KEY. Ends on Ctrl-C when open
    answers are through; SIGHUP reads the tokens anew.

    Example: plus proxy --port 8787
    """
    from plus.serve import listen as room
    from plus.serve.gate import Gate
    from plus.serve.incoming import ROUTES, Access
    from plus.serve.requests import Personalizer
    from plus.serve.requests import StoreFile as Profiles

    # Everything that can be refused is refused before the store or a socket opens.
    access = Access(
        user_headers=tuple(user_header or ()), routes=ROUTES | set(route or ()), origins=tuple(origin or ()),
        max_requests=max_connections,
    )  # fmt: skip
    settings = room.ProxySettings(
        upstream, room.key_of_environment(), host, port, tokens, access, timeout, grace, workers
    ).with_tokens()
    with open_store(store):
        pass  # A file that is none is refused; each worker and thread opens its own connection.
    closed_below = None if gate is None else Gate(sentence_model(), gate)
    profiles = Profiles(store_path(store))
    personalizer = Personalizer(profiles, None, on_unknown, max_tokens, placement, closed_below, ids)
    if dry_run:
        show_outgoing(room.dry_run(personalizer, settings, sys.stdin.buffer.read()))
    else:
        room.listen(personalizer, settings, say)


def gate(keep: Keep = 0.95, run: RunFolder = None, store: StoreFile = None, as_json: AsJson = False) -> None:
    """Find the threshold for plus proxy --gate, on held-out choices scored by the run's reward model.

    One half of the users sets it, the other half shows what it does. Nothing is sent. Where summaries help with any
    prompt, as a liking for short answers does, the threshold is so low that nothing is held back.

    Example: plus gate --store runs/demo-0
    """
    from plus.serve.gate import calibrate_on_store

    with open_store(store) as opened:
        scorer, encode = load_run(opened, run)[0].reward_model, sentence_model()
        with notes.status("scoring held-out choices"):
            found = calibrate_on_store(opened, scorer, encode, keep)
    if as_json:
        print_json(found.to_json())
        return
    print(f"--gate {found.found.threshold:.3f}")
    checked = found.checked
    say(
        f"set on {found.choices[0]:,} held-out choices; on {found.choices[1]:,} of other users {checked.kept:.1%} of "
        f"the prompts keep the summary, and these hold {checked.gain_kept:.1%} of its gain"
    )


def wording(
    model: AskedModel,
    base_url: BaseUrl = OPENAI,
    workers: Asking = 4,
    dry_run: DryRunAll = False,
    as_json: AsJson = False,
) -> None:
    """Measure which placement and wording of a summary a model heeds, on 24 written probes: for plus proxy --placement.

    Sends the probes, and nothing of any user, to --base_url with your OPENAI_API_KEY.

    Example: plus wording --model smollm2 --base_url http://localhost:8080/v1
    """
    from plus.serve import wording as room
    from plus.serve.endpoint import Endpoint

    caught = catcher() if dry_run else None
    key = "none" if dry_run else None
    endpoint = Endpoint(base_url, model, key, room.MAX_TOKENS, 300.0, caught.client if caught else None)
    found = room.measure(endpoint.complete, workers=workers)
    if caught:
        show_outgoing(caught.outgoing, as_json)
        return
    rows = [{"summary": arm.name, "heeded": arm.met, "of": arm.probes} for arm in found]
    print_rows(rows, shape_of("table", as_json), f"{model}: answers that did what the summary says", "arms")


def sentence_model() -> Encode:
    """Load the sentence model of the `embed` extra. Raises ModelError where it is missing."""
    with loading("loading the sentence model"):
        from plus.models.embeddings import minilm
    encode = minilm()
    return lambda lines: encode(lines).tolist()
