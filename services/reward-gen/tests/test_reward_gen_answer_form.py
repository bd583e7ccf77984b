"""Claude's answer is checked for form; what is written around a program is taken away."""

import pytest

from websim_reward_gen.claude.schema import CandidatePart, bare

PLAIN = "def reward(state, action):\n    return state.x_velocity\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        f"```python\n{PLAIN}```",
        f"```py\n{PLAIN}```\n",
        f"\n```\n{PLAIN}```\n\n",
        f"import numpy as np\n{PLAIN}",
        f"```python\nimport numpy as np  \n{PLAIN}```",
    ],
)
def test_one_fence_and_the_import_of_numpy_are_taken_away(text):
    assert bare(text) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{PLAIN}```\n```\n{PLAIN}```",
        f"Here it is:\n```\n{PLAIN}```",
        f"```\n{PLAIN}",
        f"import os\n{PLAIN}",
        f"import numpy\n{PLAIN}",
        f"import numpy as np, os\n{PLAIN}",
        "def reward(state, action):\n    import numpy as np\n    return state.x_velocity\n",
        "import numpy as npx\n",
    ],
)
def test_everything_else_is_left_for_the_gate_to_refuse(text):
    assert bare(text) == text


def test_a_second_import_is_left():
    assert (
        bare(f"import numpy as np\nimport numpy as np\n{PLAIN}") == f"import numpy as np\n{PLAIN}"
    )


def test_a_long_text_of_fences_takes_no_time():
    text = "```\n" * 8_000
    assert bare(text) == text


def test_a_candidate_has_the_bare_program():
    part = CandidatePart(
        name="fast", hypothesis="", expected_failure="", program=f"```\n{PLAIN}```", weights=()
    )
    assert part.program == PLAIN
