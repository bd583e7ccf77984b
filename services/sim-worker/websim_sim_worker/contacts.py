"""Contact forces exactly as Gymnasium's tasks read them.

Gymnasium calls mj_rnePostConstraint after each step; the engine's batch computes cfrc_ext only for
sensors, and then at another stage of RK4. So each environment in contact is visited once per step.
Only tasks that read cfrc_ext pay for it.
"""

import mujoco
import mujoco.batch
import numpy as np

from websim_sim_worker.table import ComputedArray


def contact_forces(batch: mujoco.batch.Batch, model: mujoco.MjModel) -> ComputedArray:
    """Return cfrc_ext (n, 6 nbody): external wrench on each body, in N m and N.

    Args:
        batch: The shard's simulations; each must keep its own MjData (persistent=True).
        model: Their model.
    """
    values = np.zeros((batch.nsim, 6 * model.nbody))
    by_body = values.reshape(batch.nsim, model.nbody, 6)
    num_contacts = batch.bind("ncon")
    pushes = batch.bind("xfrc_applied").reshape(batch.nsim, -1)
    data = mujoco.MjData(model)
    always = model.neq > 0

    def refresh() -> None:
        # Without contacts, equality constraints and pushes nothing external acts: exactly zero.
        values.fill(0.0)
        acted_on = num_contacts.astype(bool) | pushes.any(axis=1)
        for env in range(batch.nsim) if always else np.flatnonzero(acted_on):
            batch.get_data(env, data)
            mujoco.mj_rnePostConstraint(model, data)
            by_body[env] = data.cfrc_ext

    return ComputedArray(values, refresh, follows_reset=False)
