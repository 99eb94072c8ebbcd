/** A WebSocket that comes back by itself, each time a little later, up to 15 s. */

export type ConnectionState = "connecting" | "open" | "waiting";

const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 15_000;
/** A server that is gone without a word is noticed after so long without anything from it: one that has nothing to
 * tell says each three seconds that it lives. */
const SILENT_MS = 10_000;

export class Connection {
  state: ConnectionState = "waiting";
  attempts = 0;
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private heard = 0;
  private readonly watch: ReturnType<typeof setInterval>;

  constructor(
    private readonly url: string,
    private readonly told: (data: string | ArrayBuffer) => void,
    private readonly changed: (state: ConnectionState) => void,
    private readonly make: (url: string) => WebSocket = (address) => new WebSocket(address),
  ) {
    this.watch = setInterval(() => this.look(), 1_000);
    this.open();
  }

  send(request: object): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(request));
  }

  /** Tries at once instead of when its time comes. */
  retry(): void {
    if (this.state === "waiting") this.open();
  }

  close(): void {
    clearTimeout(this.timer);
    clearInterval(this.watch);
    this.drop();
  }

  private open(): void {
    clearTimeout(this.timer);
    this.drop();
    this.become("connecting");
    const socket = this.make(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.heard = Date.now();
    socket.onopen = () => {
      this.attempts = 0;
      this.heard = Date.now();
      this.become("open");
    };
    socket.onmessage = (event: MessageEvent) => {
      this.heard = Date.now();
      this.told(event.data as string | ArrayBuffer);
    };
    socket.onclose = () => this.lost(socket);
  }

  private lost(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.drop();
    const wait = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.attempts++);
    this.timer = setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
    this.become("waiting");
  }

  private look(): void {
    if (this.socket && Date.now() - this.heard > SILENT_MS) {
      const { socket } = this;
      this.lost(socket);
    }
  }

  private drop(): void {
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private become(state: ConnectionState): void {
    this.state = state;
    this.changed(state);
  }
}
