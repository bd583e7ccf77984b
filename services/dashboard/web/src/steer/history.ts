// The history of adaptations, made of the log's rows once for all who show it.

import { computed } from "@preact/signals";

import { events, goal, logRows, rewards, status } from "../live/store";
import { historyOf } from "./log";
import { warningsOf } from "./warnings";

/** What waits for a person's yes. */
export const pending = computed(() => status.value?.pending ?? goal.value?.pending[0] ?? null);
const pendingNumber = computed(() => pending.value?.adaptation ?? null);

/** The learner's name of rewards that a person wrote: it does not tell them from what a person does. */
const BY_HAND = "by hand";
const names = computed(() => new Map(rewards.value?.rewards.map(({ id, name }) => [id, name === BY_HAND ? "a reward written by hand" : name || id])));

export const warnings = computed(() => warningsOf(events.value));

export const history = computed(() => historyOf(logRows.value, pendingNumber.value, names.value));
