// The history of adaptations, made of the log's rows once for all who show it.

import { computed } from "@preact/signals";

import { goal, logRows, status } from "../live/store";
import { historyOf } from "./log";

/** What waits for a person's yes. */
export const pending = computed(() => status.value?.pending ?? goal.value?.pending[0] ?? null);
const pendingNumber = computed(() => pending.value?.adaptation ?? null);

export const history = computed(() => historyOf(logRows.value, pendingNumber.value));
