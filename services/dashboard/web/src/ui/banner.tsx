// What is wrong, in one line at the top; and the form that asks for a token.

import { useSignal } from "@preact/signals";

import type { Access } from "../generated/messages";
import { ApiError, post } from "../live/api";
import { ended, isTrial, link, linkProblem, onTrial, outdated, over, overText, startAgain, status, tokenProblem } from "../live/store";
import { Button } from "./parts";

export function Banner() {
  const text = trouble();
  const last = link.value === "lost" && over.value ? `${overText.value} Its service is gone with it; what you see is the last of it.` : "";
  return (
    <div class="banners" role="alert">
      {text !== "" && (
        <p class="banner">
          <span aria-hidden="true">⌁</span> {text}
        </p>
      )}
      {text === "" && last !== "" && (
        <p class="banner calm">
          <span aria-hidden="true">■</span> {last}
        </p>
      )}
      {/* Without a service there is nothing to load. */}
      {outdated.value && link.value === "live" && (
        <p class="banner">
          <span aria-hidden="true">⌁</span> This page is older than its service: reload it{" "}
          <Button class="small" onClick={() => window.location.reload()}>
            Reload
          </Button>
        </p>
      )}
    </div>
  );
}

function trouble(): string {
  const now = status.value;
  if (now?.state === "failed" && (link.value === "live" || over.value)) return `The run failed: ${now.reason || "see its logs"}`;
  // A run that is over needs none of them.
  if (over.value) return "";
  if (link.value === "lost") {
    const problem = linkProblem.value || "The dashboard's service does not answer.";
    return `${problem} What you see is the last that was known; it goes on by itself.`;
  }
  if (link.value !== "live" || now === null) return "";
  if (ended.value) return "";
  if (now.orchestrator_error !== null && now.learner_error !== null) {
    return "Neither the fleet's orchestrator nor the learner answers. Waiting for them.";
  }
  if (now.orchestrator_error !== null) return `The fleet's orchestrator does not answer: ${now.orchestrator_error}`;
  if (now.learner_error !== null && now.run !== "") return `The learner does not answer: ${now.learner_error}`;
  if (now.state === "waiting" && now.reason !== "") return `Waiting: ${now.reason}`;
  return "";
}

/** How far a trial is: meanwhile the run's own steps and curves stand still. */
export function Trial() {
  const now = status.value;
  if (!onTrial.value || now === null || now.adapting === "") return null;
  return (
    <p class="trial-note">
      <span aria-hidden="true">⚖</span> {now.adapting}
      {now.sessions.filter(isTrial).length > 1 && <span class="muted"> · They take turns: while one trains, the others stand still.</span>}
    </p>
  );
}

export function Login() {
  const token = useSignal("");
  const problem = useSignal(tokenProblem.value);
  const send = async () => {
    try {
      await post<Access>("login", { token: token.value.trim() });
      tokenProblem.value = "";
      startAgain();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      problem.value = error.message;
    }
  };
  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <img src="./favicon.svg" alt="" width="48" height="48" />
        <h1>MuJoCo WebSim</h1>
        <p>This dashboard asks for a token. Whoever started it has one for looking and one for steering.</p>
        <label class="field">
          <span>Token</span>
          <input type="password" autocomplete="current-password" required value={token.value} onInput={(event) => (token.value = event.currentTarget.value)} />
        </label>
        <Button class="primary" disabled={token.value.trim() === ""} onClick={() => void send()}>
          Open
        </Button>
        <p class="bad" role="status">
          {problem}
        </p>
      </form>
    </main>
  );
}
