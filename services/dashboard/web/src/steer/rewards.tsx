// The drawer of rewards: candidates side by side, the editor, and every reward of the run.

import { signal, useSignal } from "@preact/signals";

import { signed } from "../format";
import { command } from "../live/api";
import { adaptationChanged, over, rewards, status } from "../live/store";
import { Button, Outcome, useAction } from "../ui/parts";
import { Tabs } from "../ui/tabs";
import { CandidatesPane } from "./candidates";
import { Code, Diff } from "./code";
import { draft, Editor, incumbent } from "./editor";
import { taskDetail } from "./task";
import { UnknownRewards } from "./unknown";

export type RewardsTab = "candidates" | "editor" | "all";
export const rewardsTab = signal<RewardsTab>("editor");

export function RewardsDrawer() {
  return (
    <Tabs
      label="Rewards"
      chosen={rewardsTab}
      tabs={[
        ["candidates", "Candidates", CandidatesPane],
        ["editor", "Editor", Editor],
        ["all", "All rewards", AllRewards],
      ]}
    />
  );
}

function AllRewards() {
  const known = rewards.value;
  const open = useSignal<string | null>(null);
  const action = useAction("Rewards");
  if (known === null) return <UnknownRewards />;
  const act = (kind: string, values: Record<string, unknown>, said: string) =>
    action.run(async () => {
      const applied = await command(kind, values);
      adaptationChanged();
      return `${said} at update ${applied.update}`;
    });
  return (
    <div>
      {over.value ? (
        <p class="row muted">The run is over. These are its rewards as they were at its end.</p>
      ) : (
        <div class="row">
          <Button steers title="Reward, policy and optimiser go back in one step" onClick={() => void act("rollback", { reward: known.in_force }, "Taken back")}>
            Take back the last adoption
          </Button>
        </div>
      )}
      <Outcome state={action.state} />
      <ul class="reward-list">
        {[...known.rewards].reverse().map((reward) => {
          const inForce = reward.id === known.in_force;
          const expanded = open.value === reward.id;
          // The task's own is told with the task.
          const source = reward.source ?? taskDetail.value?.reward_source ?? "";
          return (
            <li key={reward.id} class={inForce ? "in-force" : ""}>
              <header>
                <button type="button" class="link" aria-expanded={expanded} onClick={() => (open.value = expanded ? null : reward.id)}>
                  {reward.name || reward.id}
                </button>
                <span class="by">{reward.origin}</span>
                <span class={`chip ${inForce ? "good" : ""}`}>{reward.outcome.replace("_", " ")}</span>
                {reward.fitness_gain !== null && <span class="numbers">{signed(reward.fitness_gain)}</span>}
              </header>
              {expanded && (
                <div>
                  {reward.hypothesis !== "" && <p>{reward.hypothesis}</p>}
                  {reward.reason !== "" && <p class="muted">{reward.reason}</p>}
                  {source === "" ? (
                    <p class="muted">
                      The task's own program: <code>websim tasks {status.value?.task} --json</code> has it.
                    </p>
                  ) : (
                    <Code source={source} label={`Program of ${reward.name || reward.id}`} />
                  )}
                  {!inForce && source !== "" && (
                    <Diff before={incumbent.value} after={source} label={`Difference of ${reward.name || reward.id} to the reward in force`} />
                  )}
                  <div class="row">
                    {!inForce && !over.value && (
                      <Button steers onClick={() => void act("adopt_reward", { reward: reward.id, force: false }, "In force")}>
                        Adopt it
                      </Button>
                    )}
                    {reward.source !== null && !over.value && (
                      <Button
                        onClick={() => {
                          draft.value = reward.source;
                          rewardsTab.value = "editor";
                        }}
                      >
                        Edit a copy
                      </Button>
                    )}
                  </div>
                </div>
              )}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
