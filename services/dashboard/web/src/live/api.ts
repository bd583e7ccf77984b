// Requests to the service; every failure is one sentence for people.

import type { Applied, Refusal } from "../generated/messages";

const DEADLINE_MS = 15_000;
/** A command is answered when it has taken effect: after the update under way, or a trial's round. */
const COMMAND_DEADLINE_MS = 70_000;

export class ApiError extends Error {
  /** HTTP status; 0 when the service does not answer. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function get<T>(path: string, deadlineMs = DEADLINE_MS): Promise<T> {
  return request<T>(path, {}, deadlineMs);
}

export function post<T>(path: string, body?: unknown, deadlineMs = DEADLINE_MS): Promise<T> {
  const init: RequestInit = { method: "POST" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  return request<T>(path, init, deadlineMs);
}

/** Sends a command to the learner; the answer comes when it has taken effect. */
export function command(kind: string, values: Record<string, unknown> = {}): Promise<Applied> {
  return post<Applied>("run/commands", { kind, ...values }, COMMAND_DEADLINE_MS);
}

async function request<T>(path: string, init: RequestInit, deadlineMs: number): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`api/v1/${path}`, { ...init, signal: AbortSignal.timeout(deadlineMs) });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(0, late ? "The answer takes too long." : "The dashboard's service does not answer.");
  }
  if (response.ok) {
    try {
      return (await response.json()) as T;
    } catch {
      throw new ApiError(0, "The dashboard's service broke off its answer.");
    }
  }
  throw new ApiError(response.status, await reason(response));
}

async function reason(response: Response): Promise<string> {
  try {
    const { detail } = (await response.json()) as Refusal | { detail: unknown };
    if (typeof detail === "string") return detail;
    // FastAPI's own refusals of a body: a list of {loc, msg}.
    if (Array.isArray(detail)) return detail.map((each: { msg?: string }) => each.msg ?? "").join("; ");
  } catch {
    // No JSON: the status has to do.
  }
  return `The service answers ${response.status}.`;
}
