// The one WebSocket: opens again by itself, says what is wanted, acknowledges what was drawn.

import type { ClientMessage, FiguresWish, PoseWish, ServerMessage } from "../generated/messages";
import { decodeFrame, OtherVersion, type FiguresPart, type Frame, type PoseFrame } from "./frames";

/** A service that restarts is back within seconds; one that refuses is not to be knocked at for ever. */
const RETRY_MS = [250, 500, 1000, 2000, 2000, 2000, 2000, 2000, 5000, 10_000];
/** Status comes every second; a socket that is silent for this long is dead. */
const SILENCE_MS = 5_000;
/** A page that does not draw (covered window) still acknowledges, so that it sees news when it does. */
const LAZY_ACK_MS = 500;

export interface Handlers {
  /** The service speaks: whoever only accepts a connection may close it at once. */
  onOpen(): void;
  /** `failures` is how often in a row it was silent, `reason` what the service gave, if anything. */
  onClosed(retryMs: number, failures: number, reason: string): void;
  onMessage(message: ServerMessage): void;
  /** Its frames are of another version than the page knows. */
  onOtherVersion(): void;
}

export class LiveSocket {
  /** The newest that was not drawn yet. */
  pose: PoseFrame | null = null;
  /** Called with figures that are wanted. */
  onFigures: (part: FiguresPart) => void = () => {};

  private socket: WebSocket | null = null;
  private failures = 0;
  private heardAt = 0;
  private unacked: number[] = [];
  private ackTimer = 0;
  private retryTimer = 0;
  private wishes: { figures: FiguresWish[]; pose: PoseWish | null } = { figures: [], pose: null };
  private readonly handlers: Handlers;

  constructor(handlers: Handlers) {
    this.handlers = handlers;
    document.addEventListener("visibilitychange", () => this.sendWishes());
    setInterval(() => this.watchSilence(), 1000);
  }

  open(): void {
    window.clearTimeout(this.retryTimer);
    const url = new URL("api/v1/live", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heardAt = performance.now();
    let silent = true;
    socket.onopen = () => {
      this.unacked = [];
      this.sendWishes();
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (silent) {
        silent = false;
        this.failures = 0;
        this.handlers.onOpen();
      }
      this.receive(event.data);
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.retry(event.reason);
    };
  }

  /** Ends the connection until `open` is called again. */
  close(): void {
    window.clearTimeout(this.retryTimer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  wantFigures(figures: FiguresWish[]): void {
    if (JSON.stringify(figures) === JSON.stringify(this.wishes.figures)) return;
    this.wishes.figures = figures;
    this.sendWishes();
  }

  wantPose(pose: PoseWish | null): void {
    this.wishes.pose = pose;
    this.pose = null;
    this.sendWishes();
  }

  /** Called after drawing: the service may send more. */
  acknowledge(): void {
    window.clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    if (this.unacked.length === 0) return;
    // Of several sessions frames do not come in the order in which they were made.
    this.send({ type: "ack", seq: Math.max(...this.unacked) });
    this.unacked = [];
  }

  private receive(data: string | ArrayBuffer): void {
    this.heardAt = performance.now();
    if (typeof data === "string") {
      this.handlers.onMessage(JSON.parse(data) as ServerMessage);
      return;
    }
    let frame: Frame;
    try {
      frame = decodeFrame(data);
    } catch (error) {
      if (!(error instanceof OtherVersion)) throw error;
      this.handlers.onOtherVersion();
      return;
    }
    this.unacked.push(frame.seq);
    if (this.ackTimer === 0) this.ackTimer = window.setTimeout(() => this.acknowledge(), LAZY_ACK_MS);
    if (frame.kind === "figures") {
      if (this.wishes.figures.some((wish) => wish.session === frame.session)) this.onFigures(frame);
    } else if (this.wishes.pose?.env_id === frame.envId && this.wishes.pose.session === frame.session) {
      this.pose = frame;
    }
  }

  private sendWishes(): void {
    const hidden = document.visibilityState === "hidden";
    this.send({
      type: "subscribe",
      figures: hidden || this.wishes.figures.length === 0 ? null : this.wishes.figures.length === 1 ? this.wishes.figures[0]! : this.wishes.figures,
      pose: hidden ? null : this.wishes.pose,
    });
  }

  private send(message: ClientMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private watchSilence(): void {
    if (this.socket !== null && performance.now() - this.heardAt > SILENCE_MS) {
      const socket = this.socket;
      this.retry("");
      socket.close();
    }
  }

  private retry(reason: string): void {
    this.socket = null;
    const retryMs = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)]!;
    this.failures += 1;
    this.handlers.onClosed(retryMs, this.failures, reason);
    window.clearTimeout(this.retryTimer);
    this.retryTimer = window.setTimeout(() => this.open(), retryMs);
  }
}
