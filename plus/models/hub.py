"""Runs on the Hugging Face Hub: publishing and fetching. `push` is the job of `plus push`.

Both model folders, options, metrics and the card are published. Summaries and samples are texts about users, and stay.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from plus.errors import ModelError, SettingError
from plus.jsonl import read_json, write_json
from plus.profiles.text_filters import redact
from plus.progress import SILENT, Screen

MODELS = ("summarizer", "reward_model")
FILES = ("README.md", "config.json", "metrics.jsonl", "report.json", "curves.png")
# Options that name places on this machine.
_PLACES = ("output_dir", "data_dir", "resume_from_checkpoint", "logging_dir")


@dataclass(frozen=True)
class PushResult:
    """Result of a push: file -> bytes, the repository's address (None: nothing was sent), personal data by kind."""

    files: Mapping[str, int]
    sent_to: str | None
    personal_data: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `plus push --json` prints."""
        return {"files": dict(self.files), "sent_to": self.sent_to, "personal_data": dict(self.personal_data)}


def push(
    run: str | Path,
    repo_id: str | None = None,
    output_dir: str | Path | None = None,
    public: bool = False,
    dry_run: bool = False,
    screen: Screen = SILENT,
) -> PushResult:
    """Publish a run as OWNER/NAME on the Hub; with `output_dir` or `dry_run` nothing is sent.

    output_dir: a new folder that gets the files instead. public: a new repository is private otherwise.
    Raises SettingError without a destination, ModelError as `stage` and `push_to_hub`.
    """
    if repo_id is None and output_dir is None and not dry_run:
        raise SettingError("nowhere to push to; give OWNER/NAME, or --output_dir FOLDER to look at it first")
    # 1. Copy the files, to a folder that goes away unless one is given. 2. Send them. 3. Look for personal data.
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(output_dir) if output_dir else Path(scratch) / "run"
        files = stage(run, folder)
        sizes = {str(path): (folder / path).stat().st_size for path in files}
        address = None
        if repo_id is not None and output_dir is None and not dry_run:
            with screen.status(f"sending {sum(sizes.values()) / 2**20:,.1f} MiB to {repo_id}"):
                address = push_to_hub(folder, repo_id, private=not public)
        return PushResult(sizes, address, count_personal_data(folder, files))


def count_personal_data(folder: Path, files: Iterable[Path]) -> dict[str, int]:
    """Count personal data by its shape in the texts that people could have written: the card and the reports."""
    found: Counter[str] = Counter()
    for path in files:
        if path.suffix in (".md", ".jsonl") or path.name in ("config.json", "report.json"):
            redact((folder / path).read_text(encoding="utf-8"), found)
    return dict(found)


def stage(run: str | Path, folder: str | Path) -> list[Path]:
    """Copy the published part of a run into a new folder; return the files, relative to it.

    Raises ModelError when the run is unfinished, when `folder` is in use, or when a model is an
    adapter of a base that only this machine has.
    """
    run, folder = Path(run), Path(folder)
    # 1. Refuse before anything is written.
    if folder.exists() and any(folder.iterdir()):
        raise ModelError(f"{folder} is in use and nothing is overwritten; give a new folder")
    for name in MODELS:
        if not (run / name).is_dir():
            raise ModelError(
                f"{run} has no {name}/: only a finished run can be published; see plus train --resume_from_checkpoint"
            )
        _refuse_local_base(run / name)
    # 2. Copy models and files; config and card lose the places of this machine.
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        shutil.copytree(run / name, folder / name)
    for name in FILES:
        if (run / name).exists():
            shutil.copy(run / name, folder / name)
    config = {key: value for key, value in read_json(run / "config.json").items() if key not in _PLACES}
    write_json(folder / "config.json", config)
    if (folder / "report.json").exists():
        report = without_people(read_json(folder / "report.json"))
        write_json(folder / "report.json", {key: value for key, value in report.items() if key != "run"})
    card = folder / "README.md"
    if card.exists():
        text = re.sub(r'plus\.load\("[^"\n]*"\)', 'plus.load("this repository")', card.read_text(encoding="utf-8"))
        card.write_text(text, encoding="utf-8")
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def without_people(value: Any) -> Any:
    """Return a report without what is of one user: objects that have a `user_id`, at any depth."""
    if isinstance(value, dict):
        return {key: without_people(one) for key, one in value.items() if not _is_of_one(one)}
    if isinstance(value, list):
        return [without_people(one) for one in value if not _is_of_one(one)]
    return value


def _is_of_one(value: Any) -> bool:
    return isinstance(value, dict) and "user_id" in value


def push_to_hub(folder: str | Path, repo_id: str, private: bool = True, token: str | None = None) -> str:
    """Upload a staged folder to a Hub repository, made when there is none; return its address.

    Raises ModelError, which says nothing of the token, when the Hub refuses.
    """
    api = HfApi(token=token)
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        return api.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message="Summarizer and reward model"
        ).repo_url
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"the Hub did not take {repo_id}: {reason}; log in with `hf auth login` and give OWNER/NAME"
        ) from error


def fetch(repo_id: str) -> Path:
    """Download a run from the Hub; return its local folder. Raises ModelError when there is none."""
    try:
        return Path(snapshot_download(repo_id, allow_patterns=[*FILES, *(f"{name}/*" for name in MODELS)]))
    except (RepositoryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise ModelError(
            f"{repo_id} is no folder here and could not be had from the Hub ({reason}); "
            "give the --output_dir of a plus train or plus demo, or OWNER/NAME"
        ) from error


def _refuse_local_base(model: Path) -> None:
    # Adapters name their base by the path or the id that they were trained from.
    adapter = model / "adapter_config.json"
    base = read_json(adapter)["base_model_name_or_path"] if adapter.exists() else None
    if base and Path(base).exists():
        raise ModelError(
            f"{model} holds adapters of {base}, a folder on this machine; publish that base first and train from its "
            "Hub id"
        )
