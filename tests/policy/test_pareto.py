"""The dial: which points nobody beats, and which one to take."""

from __future__ import annotations

from plus.policy.pareto import front, plot, recommended


def point(weight, love, personal, held_out=0.0, safe=True):
    change = {"mean": 0.0, "low": -0.01, "high": 0.01}
    return {"weight": weight, "love_sound": love, "personal": personal, "held_out": held_out, "safe_enough": safe, "safety_change": change}  # fmt: skip


POINTS = [point(0, 1, 5, 1.0), point(0.1, 2, 4, 3.0), point(0.3, 2, 3, 2.0), point(1, 3, 1, 9.0, safe=False)]


def test_a_point_is_on_the_front_when_nobody_beats_it():
    """(2, 3) is beaten by (2, 4); the others each have something that nobody else has."""
    assert [p["weight"] for p in front(POINTS, ("love_sound", "personal"))] == [0, 0.1, 1]


def test_the_point_to_take_is_safe_and_liked_by_who_was_not_climbed(tmp_path):
    assert recommended(POINTS)["weight"] == 0.1
    assert "Of 3 of 4 points that are safe enough" in recommended(POINTS)["why"]
    assert recommended([point(1, 3, 1, safe=False)]) == {"weight": 0.0, "why": "No point is safe enough: keep the reference."}  # fmt: skip
    assert plot(POINTS, tmp_path / "pareto.png").stat().st_size > 5000
