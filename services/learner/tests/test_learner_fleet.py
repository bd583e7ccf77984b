"""Sessions as the learner opens them."""

import pytest

from websim.service.errors import UserError
from websim_learner.fleet import open_session


def test_a_task_file_that_is_not_there_is_the_users_to_put_right(make_config):
    config = make_config(task="nowhere/task.yaml")
    with pytest.raises(UserError, match=r"there is no task file nowhere/task\.yaml; give"):
        open_session(config, 1, 0, fleet="tcp://127.0.0.1:9")
