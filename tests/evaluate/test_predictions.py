import math

from plus.evaluate.predictions import Prediction, predict
from plus.types import Example, Preference, UserHistory


def test_a_prediction_is_right_wrong_or_half():
    values = [Prediction("m", 0, "u", "0", margin) for margin in (2.0, -2.0, 0.0)]
    assert [value.right for value in values] == [1.0, 0.0, 0.5]
    assert [round(value.log_likelihood, 6) for value in values] == [-0.126928, -2.126928, -0.693147]
    assert Prediction("m", 0, "u", "0", -1000.0).log_likelihood == -1000.0


def test_predict_keeps_the_order_and_gives_back_the_margin():
    class Odds:
        def log_likelihood(self, texts, pairs):
            return [-math.log1p(math.exp(-len(text))) for text in texts]

    examples = [Example(UserHistory(user), Preference("p", "a", "b"), "test") for user in "xyx"]
    made = predict("m", 3, Odds(), ["", "a", "aaa"], examples)
    assert [(p.user_id, p.example, p.seed) for p in made] == [("x", "0", 3), ("y", "1", 3), ("x", "2", 3)]
    assert [round(p.margin, 9) for p in made] == [0.0, 1.0, 3.0]
