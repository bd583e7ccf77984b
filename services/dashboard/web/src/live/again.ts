// Questions that are asked until somebody answers: who is asked may be away for a while.

import { ApiError } from "./api";
import { link, over } from "./store";

const AGAIN_MS = 2000;

/**
 * Asks until there is an answer, or the question is refused, which is an answer too; of a run that is over
 * nobody is there to answer later. `failed` is called each time that there is none.
 *
 * Returns what ends it.
 */
export function untilAnswered<T>(ask: () => Promise<T>, take: (answer: T) => void, failed: (error: ApiError) => void = () => {}): () => void {
  let isWanted = true;
  let timer = 0;
  const once = async () => {
    let answer: T;
    try {
      answer = await ask();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!isWanted) return;
      failed(error);
      // 409: not as things stand, as without a task that is trained.
      const isAway = error.status === 0 || error.status === 409 || error.status >= 500;
      const isOver = over.peek() && link.peek() === "live";
      if (isAway && !isOver) timer = window.setTimeout(() => void once(), AGAIN_MS);
      return;
    }
    if (isWanted) take(answer);
  };
  void once();
  return () => {
    isWanted = false;
    window.clearTimeout(timer);
  };
}
