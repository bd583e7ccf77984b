// Instead of rewards that nobody has told: not yet, or nobody was there to keep them.

import { status } from "../live/store";
import { Empty } from "../ui/parts";
import { history } from "./history";

export function UnknownRewards() {
  const now = status.value;
  if (now === null || now.learner_error === null) return <Empty>The learner has not told its rewards yet.</Empty>;
  if (now.run === "") return <Empty>There is no run yet, and so there are no rewards.</Empty>;
  return (
    <Empty>
      The learner is away, and its rewards were not kept here. {history.value.adaptations.length > 0 && "What was tried is under Candidates. "}
      In the run's directory all is kept: <code>websim adaptations runs/{now.run}</code> shows what was decided.
    </Empty>
  );
}
