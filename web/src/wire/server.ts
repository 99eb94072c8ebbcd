/** What the server answers beside its stream. */

export const API = "api/v1/orderbook-heatmap";

export function address(path: string): string {
  return new URL(`${API}/${path}`, document.baseURI).href;
}

/** A market in an address: the slash of a symbol stays one. */
export function marketPath(exchange: string, symbol: string): string {
  return [exchange, ...symbol.split("/")].map(encodeURIComponent).join("/");
}

/** Throws what the server says where it refuses; `fine`: a status that is an answer, too. */
export async function answered(where: string | URL, wish: RequestInit = {}, fine?: number): Promise<Response> {
  const answer = await fetch(where, wish);
  if (answer.ok || answer.status === fine) return answer;
  const { detail } = (await answer.json().catch(() => ({}))) as { detail?: unknown };
  throw new Error(detail === undefined ? `the server answered ${answer.status} to ${new URL(where).pathname}` : String(detail));
}

export async function ask<T>(where: string | URL, wish: RequestInit = {}): Promise<T> {
  return (await (await answered(where, wish)).json()) as T;
}

export function posting(said: unknown): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(said) };
}
