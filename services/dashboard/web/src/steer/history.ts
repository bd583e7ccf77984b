// The history of adaptations, made of the log's rows once for all who show it.

import { computed } from "@preact/signals";

import { logRows } from "../live/store";
import { historyOf } from "./log";

export const history = computed(() => historyOf(logRows.value));
