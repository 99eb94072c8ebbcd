import { useEffect, useState } from "react";
import { bytes, short, span } from "../market/numbers";
import { askOperations, figure, type Operations as Told } from "../market/operations";
import { API } from "../wire/server";
import { Dialog } from "./Dialogs";

const AGAIN_MS = 3_000;

export function Operations({ open, close }: { open: boolean; close: () => void }) {
  return (
    <Dialog open={open} close={close} title="Status of this server">
      <Inside />
    </Dialog>
  );
}

function Inside() {
  const [told, setTold] = useState<[Told | null, Told | null]>([null, null]);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let gone = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async (): Promise<void> => {
      try {
        const found = await askOperations(document.baseURI, API);
        if (!gone) {
          setTold(([, before]) => [before, found]);
          setProblem("");
        }
      } catch (error) {
        if (!gone) setProblem((error as Error).message);
      }
      if (!gone) timer = setTimeout(() => void ask(), AGAIN_MS);
    };
    void ask();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, []);
  const [before, now] = told;
  if (!now) return <p className="empty" role="status">{problem || "The server is asked."}</p>;
  const number = (value: number): string => (Number.isNaN(value) ? "–" : Number.isInteger(value) && value < 1e6 ? String(value) : short(value));
  const roles = now.measured.filter(({ name }) => name === "ordertape_role_resident_bytes");
  return (
    <div className="operations">
      {problem && <p role="alert" className="warned">{problem}: what follows is {span(Date.now() - now.at)} old.</p>}
      <p>{now.ready.ready ? "Every role does its work." : now.ready.not_ready.map(({ part, reason }) => `${part}: ${reason}`).join("; ")}</p>
      <h3>Streams</h3>
      <table>
        <thead><tr><th scope="col">market</th><th scope="col">state</th><th scope="col" className="n">events/s</th><th scope="col" className="n">lag</th><th scope="col" className="n">gaps</th><th scope="col" className="n">resyncs</th><th scope="col" className="n">audits</th><th scope="col" className="n">not synced</th><th scope="col" className="n">not in database</th></tr></thead>
        <tbody>
          {now.streams.map((stream) => {
            const of = { exchange: stream.exchange, symbol: stream.symbol };
            const of_now = (name: string, more = {}): number => figure(now.measured, name, { ...of, ...more });
            const earlier = before?.streams.find(({ exchange, symbol }) => exchange === stream.exchange && symbol === stream.symbol);
            const rate = before && earlier ? ((stream.sequence - earlier.sequence) * 1_000) / (now.at - before.at) : NaN;
            const differ = of_now("audits_total", { result: "different" });
            return (
              <tr key={`${stream.exchange} ${stream.symbol}`}>
                <td>{stream.symbol} · {stream.exchange}{stream.simulated ? " (simulated)" : ""}</td>
                <td title={stream.errors.at(-1) ?? stream.reason}>{stream.state}</td>
                <td className="n">{number(Math.round(rate))}</td>
                <td className="n">{stream.age_ms === null ? "–" : span(stream.age_ms)}</td>
                <td className="n">{number(of_now("gaps_total"))}</td>
                <td className="n">{number(of_now("resyncs_total"))}</td>
                <td className="n">{number(of_now("audits_total", { result: "equal" }))}{differ > 0 ? `, ${differ} differ` : ""}</td>
                <td className="n">{number(of_now("unsynced_events"))}</td>
                <td className="n">{number(of_now("database_behind_events"))}</td>
              </tr>
            );
          })}
          {!now.streams.length && <tr><td colSpan={9}>No stream was started yet.</td></tr>}
        </tbody>
      </table>
      <h3>Roles</h3>
      <table>
        <thead><tr><th scope="col">role</th><th scope="col" className="n">memory</th><th scope="col" className="n">processor, in all</th><th scope="col" className="n">open files</th><th scope="col" className="n">starts</th></tr></thead>
        <tbody>
          {roles.map(({ labels: { role }, value }) => (
            <tr key={role}>
              <td>{role}</td>
              <td className="n">{bytes(value)}</td>
              <td className="n">{span(1_000 * figure(now.measured, "role_cpu_seconds_total", { role }))}</td>
              <td className="n">{number(figure(now.measured, "role_open_files", { role }))}</td>
              <td className="n">{number(figure(now.measured, "role_starts_total", { role }))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <h3>Database and disk</h3>
      <dl>
        <div><dt>PostgreSQL</dt><dd>{figure(now.measured, "database_following") === 1 ? "follows the tape" : "does not follow the tape now; the tape keeps everything"}</dd></div>
        <div><dt>free on the disk</dt><dd>{bytes(figure(now.measured, "disk_free_bytes"))}</dd></div>
        <div><dt>journals</dt><dd>{bytes(figure(now.measured, "journal_bytes") || 0)}</dd></div>
        <div><dt>events not archived yet</dt><dd>{number(figure(now.measured, "unarchived_events"))}</dd></div>
      </dl>
    </div>
  );
}
