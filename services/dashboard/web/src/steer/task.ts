// What is known of the task that is trained: its fields, reward and physics.

import { computed, effect, signal } from "@preact/signals";

import type { TaskDetail } from "../generated/messages";
import { ApiError, get } from "../live/api";
import { link, status } from "../live/store";

export const taskDetail = signal<TaskDetail | null>(null);

const trained = computed(() => {
  const now = status.value;
  const session = now?.session ?? now?.sessions[0]?.session;
  return link.value !== "live" || session === undefined ? "" : `${session} ${now?.task}`;
});

effect(() => {
  const key = trained.value;
  if (key !== "") void load(key);
});

async function load(key: string): Promise<void> {
  try {
    const detail = await get<TaskDetail>(`sessions/${key.split(" ")[0]}/task`);
    if (key === trained.peek()) taskDetail.value = detail;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}
