// What is known of the task that is trained: its fields, reward and physics.

import { computed, effect, signal } from "@preact/signals";

import type { TaskDetail } from "../generated/messages";
import { untilAnswered } from "../live/again";
import { get } from "../live/api";
import { link, status } from "../live/store";

export const taskDetail = signal<TaskDetail | null>(null);

const trained = computed(() => {
  const now = status.value;
  const session = now?.session ?? now?.sessions[0]?.session;
  return link.value !== "live" || session === undefined ? "" : `${session} ${now?.task}`;
});

/** The task that the detail is of. */
let known = "";

effect(() => {
  const key = trained.value;
  if (key === "") return undefined;
  const session = key.split(" ", 1)[0]!;
  const task = key.slice(session.length + 1);
  // What is known of another task is not true of this one; another session of the same task changes nothing.
  if (task !== known) taskDetail.value = null;
  known = task;
  return untilAnswered(
    () => get<TaskDetail>(`sessions/${session}/task`),
    (detail) => (taskDetail.value = detail),
  );
});
