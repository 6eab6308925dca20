"""What `plus policy` does with its options: one run, or a sweep over a goal's weight."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plus.errors import SettingError, SourceError
from plus.evaluate import markdown
from plus.jsonl import read_jsonl, read_summaries, write_json
from plus.policy import pareto, rewards_file
from plus.policy import rows as policy_rows
from plus.policy.model import Asked, Policy
from plus.policy.run import train
from plus.policy.trainer import PolicyConfig, local
from plus.train.settings import parse_flags

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What was asked for; `more` are the words that belong to TRL's `GRPOConfig`."""

    prompts: Path
    goals: Path
    model_name_or_path: str
    output_dir: Path
    method: str = "grpo"
    summaries: Path | None = None
    sft: Path | None = None
    max_completion_length: int = 256
    stop: bool = True
    more: Sequence[str] = ()

    def settings(self) -> dict[str, Any]:
        """What config.json holds: a run that is continued must agree in all of it."""
        said = yaml.safe_load(self.goals.read_text(encoding="utf-8")) if self.goals.is_file() else None
        return {
            "model_name_or_path": self.model_name_or_path, "method": self.method, "goals": said, "stop": self.stop,
            "prompts": str(self.prompts), "summaries": str(self.summaries), "sft": str(self.sft),
            "max_completion_length": self.max_completion_length, "options": parse_flags(list(self.more)),
        }  # fmt: skip

    def config(self, folder: Path) -> PolicyConfig:
        """TRL's options. Raises SettingError for one that is unknown or cannot be used."""
        flags = parse_flags(list(self.more))
        known = {field.name for field in dataclasses.fields(PolicyConfig) if field.init}
        if unknown := sorted(flags.keys() - known):
            raise SettingError(f"unknown option --{unknown[0]}; see plus policy --help, and TRL's GRPOConfig")
        options = {"max_steps": 200, "save_steps": 20, "save_total_limit": 1, **flags, "output_dir": str(folder)}
        try:
            return PolicyConfig(**local(options))
        except (TypeError, ValueError) as error:
            raise SettingError(str(error).strip().splitlines()[0]) from error

    def policy(self) -> Policy:
        """The policy to begin with."""
        return Policy.from_pretrained(self.model_name_or_path, self.max_completion_length)

    def asked(self, say: Say) -> list[Asked]:
        """The prompts with their users' summaries; what has none is said."""
        known = {}
        if self.summaries:
            known = read_summaries(self.summaries)
        asked, dropped = policy_rows.read(read_jsonl(self.prompts), known)
        for line in dropped.lines():
            say(line)
        return asked

    def examples(self, say: Say) -> list[tuple[Asked, str]]:
        """Answers to imitate first."""
        if self.sft is None:
            return []
        rows = read_jsonl(self.sft)
        if missing := next((n for n, row in enumerate(rows, start=1) if not row.get("chosen")), None):
            raise SourceError(f"{self.sft} line {missing} has no 'chosen'; write prompt, chosen, and user_id or summary")  # fmt: skip
        asked, dropped = policy_rows.read(rows)
        for line in dropped.lines():
            say(f"{self.sft.name}: {line}")
        return [(one, row["chosen"]) for one, row in zip(asked, (r for r in rows if r.get("prompt")), strict=True)]


def once(request: Request, say: Say, folder: Path | None = None, weights: Mapping[str, float] | None = None) -> dict[str, Any]:  # fmt: skip
    """One policy."""
    folder = folder or request.output_dir
    config, asked, examples = request.config(folder), request.asked(say), request.examples(say)
    file = rewards_file.read(request.goals, weights)
    policy = request.policy()
    if policy.tokenizer.chat_template is None:
        say("the policy's tokenizer has no chat template: it reads plain paragraphs, which suits a base model; an instruct model should have one")  # fmt: skip
    settings = {**request.settings(), "weights": dict(weights or {})}
    return train(folder, settings, policy, asked, file, config, examples, request.stop, say)


def sweep(request: Request, said: str, say: Say) -> dict[str, Any]:
    """A policy for each weight of one goal, a table, a picture, and the point to take."""
    name, _, values = said.partition("=")
    try:
        weights = [float(value) for value in values.split(",")]
    except ValueError as error:
        raise SettingError(f"--sweep is {said!r}; write a goal and its weights, as love=0,0.1,0.3") from error
    points = []
    for weight in weights:
        folder = request.output_dir / f"{name}-{weight:g}"
        if not (folder / "report.json").exists():
            say(f"{name} {weight:g}")
            once(request, say, folder, {name: weight})
        points.append(_point(weight, json.loads((folder / "report.json").read_text(encoding="utf-8"))))
    report = {"goal": name, "points": points, "recommended": recommended(points)}
    write_json(request.output_dir / "sweep.json", report)
    (request.output_dir / "sweep.md").write_text(sweep_page(report), encoding="utf-8")
    pareto.plot_sweep(points, name, request.output_dir / "pareto.png")
    return report


def _point(weight: float, report: Mapping[str, Any]) -> dict[str, Any]:
    if "last_look" not in report:
        raise SettingError("--sweep needs --method grpo: only there somebody looks while it trains")
    first, last = report["first_look"], report["last_look"]
    return {
        "weight": weight, "goals": last["goals"], "before": first["goals"], "held_out": last.get("held_out"),
        "floor": last["floor"], "floor_before": first["floor"], "kl": last["kl"],
        "stopped": [alarm["name"] for alarm in report["stopped"]],
    }  # fmt: skip


def recommended(points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The point whose held-out reward is highest among those that nobody stopped and whose answers meet the
    floors as often as the reference's, within two points."""
    sound = [p for p in points if not p["stopped"] and p["floor"] >= p["floor_before"] - 0.02]
    judged = [p for p in sound if p["held_out"] is not None]
    if not judged:
        why = "no run was free of alarms and as safe as the reference" if not sound else "there is no held-out reward to judge by (held_out in the goals file)"  # fmt: skip
        return {"weight": None, "why": f"No point is recommended: {why}."}
    best = max(judged, key=lambda point: point["held_out"])
    return {"weight": best["weight"], "why": f"Of {len(sound)} of {len(points)} points without an alarm and as safe as the reference, the held-out reward is highest here ({best['held_out']:.2f} standard deviations above the reference)."}  # fmt: skip


def sweep_page(report: Mapping[str, Any]) -> str:
    """sweep.md."""
    names = list(report["points"][0]["goals"])
    rows = [
        [f"{p['weight']:g}", *(f"{p['goals'].get(n, float('nan')):.3f}" for n in names), "-" if p["held_out"] is None else f"{p['held_out']:.2f}", f"{p['floor']:.1%}", f"{p['kl']:.2f}", ", ".join(p["stopped"]) or "-"]
        for p in report["points"]
    ]  # fmt: skip
    table = markdown.table([f"weight of {report['goal']}", *names, "held out", "above the floors", "KL", "stopped by"], rows)  # fmt: skip
    return f"# The dial\n\n{table}\n\nRecommended: {report['recommended']['weight']}. {report['recommended']['why']}\n\n![pareto](pareto.png)\n"
