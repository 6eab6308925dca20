"""A run on the Hugging Face Hub: what is sent, and how it comes back.

Only what others need to use the models travels: both model folders, options, metrics and the card.
Summaries and samples are texts about users, and stay.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from plus.errors import ModelError

MODELS = ("summarizer", "reward_model")
FILES = ("README.md", "config.json", "metrics.jsonl", "report.json", "curves.png")
# Options that name places on this machine.
_PLACES = ("output_dir", "data_dir", "resume_from_checkpoint", "logging_dir")


def stage(run: str | Path, folder: str | Path) -> list[Path]:
    """Copy what would be published of a run into a new folder; returns the files, relative to it.

    Raises ModelError when the run is unfinished, when `folder` is in use, or when a model is an
    adapter of a base that only this machine has.
    """
    run, folder = Path(run), Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ModelError(f"{folder} is in use and nothing is overwritten; give a new folder")
    for name in MODELS:
        if not (run / name).is_dir():
            raise ModelError(
                f"{run} has no {name}/: only a finished run can be published; see plus train --resume_from_checkpoint"
            )
        _refuse_local_base(run / name)
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        shutil.copytree(run / name, folder / name)
    for name in FILES:
        if (run / name).exists():
            shutil.copy(run / name, folder / name)
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config = {key: value for key, value in config.items() if key not in _PLACES}
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card = folder / "README.md"
    if card.exists():
        card.write_text(card.read_text(encoding="utf-8").replace(f'"{run}"', '"this repository"'), encoding="utf-8")
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def push_to_hub(folder: str | Path, repo_id: str, private: bool = True, token: str | None = None) -> str:
    """Upload a staged folder to a Hub repository, made when there is none; returns its address.

    Raises ModelError, which says nothing of the token, when the Hub refuses.
    """
    api = HfApi(token=token)
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        return api.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message="Summarizer and reward model"
        ).repo_url
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"the Hub did not take {repo_id}: {str(error).strip().splitlines()[0]}; log in with `hf auth login` and give OWNER/NAME"
        ) from error


def fetch(repo_id: str) -> Path:
    """The local copy of a run on the Hub. Raises ModelError when there is none."""
    try:
        return Path(snapshot_download(repo_id, allow_patterns=[*FILES, *(f"{name}/*" for name in MODELS)]))
    except (RepositoryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"{repo_id} is no folder here and could not be had from the Hub ({str(error).strip().splitlines()[0][:160]}); give the --output_dir of a plus train or plus demo, or OWNER/NAME"
        ) from error


def _refuse_local_base(model: Path) -> None:
    adapter = model / "adapter_config.json"
    base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"] if adapter.exists() else None
    if base and Path(base).exists():
        raise ModelError(
            f"{model} holds adapters of {base}, a folder on this machine; publish that base first and train from its Hub id"
        )
