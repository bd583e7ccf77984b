// The drawer of the fleet: workers with their load, sessions with their environments.

import { effect, signal } from "@preact/signals";

import type { Worker } from "./generated/messages";
import { environments, percent, short, whole } from "./format";
import { status, taskName, workers } from "./live/store";
import { Empty } from "./ui/parts";

interface Load {
  stepsPerS: number;
  busy: number;
}

/** Rates are differences over at least so long. */
const OVER_MS = 1500;

const loads = signal<Map<number, Load>>(new Map());
let before: { at: number; workers: Worker[] } | null = null;

effect(() => {
  const now = workers.value;
  if (now === null) return;
  const at = performance.now();
  if (before !== null && at - before.at < OVER_MS) return;
  if (before !== null) {
    const seconds = (at - before.at) / 1000;
    const next = new Map<number, Load>();
    for (const worker of now) {
      const old = before.workers.find((each) => each.worker_id === worker.worker_id && each.pid === worker.pid);
      if (old === undefined) continue;
      next.set(worker.worker_id, {
        stepsPerS: Math.max(0, (worker.env_steps - old.env_steps) / seconds),
        busy: Math.min(1, Math.max(0, (worker.busy_s - old.busy_s) / seconds)),
      });
    }
    loads.value = next;
  }
  before = { at, workers: now };
});

export function FleetDrawer() {
  const known = workers.value;
  const now = status.value;
  return (
    <>
      {now?.orchestrator_error && <p class="bad">! {now.orchestrator_error}</p>}
      {known === null || known.length === 0 ? (
        <Empty>No sim worker is registered. One that starts with this orchestrator's address appears here.</Empty>
      ) : (
        <div class="table-box" tabIndex={0} role="region" aria-label="Workers">
          <table>
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col">Load</th>
                <th scope="col">Steps/s</th>
                <th scope="col">Shards</th>
                <th scope="col">Envs</th>
                <th scope="col">Heard</th>
              </tr>
            </thead>
            <tbody>
              {known.map((worker) => (
                <Row key={worker.worker_id} worker={worker} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <section class="block">
        <h3>Sessions</h3>
        {(now?.sessions.length ?? 0) === 0 && <Empty>Nobody has environments on this fleet.</Empty>}
        <ul class="sessions">
          {now?.sessions.map((each) => (
            <li key={each.session}>
              <b>{each.label || `session ${each.session}`}</b>
              <span class="muted">
                {taskName(each.task)}, {environments(each.num_envs)}
              </span>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

function Row({ worker }: { worker: Worker }) {
  const load = loads.value.get(worker.worker_id);
  const late = worker.last_seen_s_ago > 2;
  return (
    <tr>
      <th scope="row">
        {worker.worker_id}
        <span class="muted"> {worker.host}, pid {worker.pid}, {worker.nthread} {worker.nthread === 1 ? "thread" : "threads"}</span>
        {worker.draining && <span class="chip warn">↓ drains</span>}
      </th>
      <td>
        <span class="meter" role="img" aria-label={`load ${percent(load?.busy ?? 0)}`}>
          <span style={{ width: `${100 * (load?.busy ?? 0)}%` }} />
        </span>{" "}
        {load === undefined ? "–" : percent(load.busy)}
      </td>
      <td>{short(load?.stepsPerS)}</td>
      <td>{worker.shards}</td>
      <td>{whole(worker.num_envs)}</td>
      <td class={late ? "bad" : ""}>
        {late ? "! " : ""}
        {worker.last_seen_s_ago < 0.95 ? "now" : `${short(worker.last_seen_s_ago)} s ago`}
      </td>
    </tr>
  );
}
