import math

import pytest

from gainer_ns.errors import GainerError
from gainer_ns.preparation.prompts import Prompt


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (Prompt(), "nothing says what it is; add --click X Y"),
        (Prompt(negative_clicks=((1, 1),)), "only negative clicks"),
        (Prompt(clicks=((41, 5),)), r"click 41 5: lies outside of the picture of 40x30"),
        (Prompt(clicks=((-0.5, 5),)), "click -0.5 5: lies outside"),
        (Prompt(clicks=((math.nan, 5),)), "click nan 5: lies outside"),
        (Prompt(clicks=((1, 1),), negative_clicks=((1, 31),)), "negative click 1 31: lies outside"),
        (Prompt(clicks=((1, 1),), negative_clicks=((1, 1),)), "asked for and excluded"),
        (Prompt(box=(5, 5, 5, 9)), "box 5 5 5 9: has no area"),
        (Prompt(box=(9, 5, 5, 9)), "has no area"),
        (Prompt(box=(0, 0, math.inf, 9)), "has no area"),
        (Prompt(box=(0, 0, 40.5, 9)), "reaches out of the picture of 40x30"),
    ],
)
def test_prompts_that_point_at_nothing_are_refused(prompt, said):
    with pytest.raises(GainerError, match=said) as caught:
        prompt.check(40, 30)
    assert "\n" not in str(caught.value)


def test_edges_of_the_picture_belong_to_it():
    Prompt(clicks=((0, 0), (40, 30)), negative_clicks=((40, 0),), box=(0, 0, 40, 30)).check(40, 30)
