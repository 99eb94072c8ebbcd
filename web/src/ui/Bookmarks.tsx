import { useState } from "react";
import { create } from "zustand";
import { persist } from "zustand/middleware";
import type { Chart } from "../heat/chart";
import type { Feed } from "../market/feed";
import { useLive } from "../market/state";
import { goTo, readAddress, viewAddress } from "./address";
import { Dialog } from "./Dialogs";
import { moment } from "./Recordings";

const KEPT = 200;

export interface Bookmark {
  id: number;
  note: string;
  search: string;
  made: string;
}

/** Kept in this browser; the newest first. */
export const useBookmarks = create<{ all: Bookmark[]; add: (note: string, search: string) => void; remove: (id: number) => void }>()(
  persist(
    (set) => ({
      all: [],
      add: (note, search) => set(({ all }) => ({ all: [{ id: Math.max(0, ...all.map(({ id }) => id)) + 1, note, search, made: new Date().toISOString() }, ...all].slice(0, KEPT) })),
      remove: (id) => set(({ all }) => ({ all: all.filter((each) => each.id !== id) })),
    }),
    { name: "ordertape-bookmarks", version: 1 },
  ),
);

interface Props {
  feed: Feed;
  chart: () => Chart | null;
  close: () => void;
}

export function Bookmarks({ open, ...rest }: Props & { open: boolean }) {
  return (
    <Dialog open={open} close={rest.close} title="Bookmarks">
      <Inside {...rest} />
    </Dialog>
  );
}

function Inside({ feed, chart, close }: Props) {
  const { all, add, remove } = useBookmarks();
  const opened = useLive((state) => state.opened);
  const [note, setNote] = useState("");
  return (
    <>
      <form className="filters" onSubmit={(event) => {
        event.preventDefault();
        const shown = chart();
        if (!opened || !shown) return;
        add(note.trim(), viewAddress(shown.camera, opened));
        setNote("");
      }}>
        <input size={48} maxLength={500} aria-label="Note" placeholder="what is to be seen here" value={note} onChange={(event) => setNote(event.target.value)} />
        <button type="submit" disabled={!opened}>Keep this view</button>
      </form>
      {!all.length && <p className="empty">Nothing is kept in this browser yet.</p>}
      <ul className="bookmarks">
        {all.map((each) => {
          const where = readAddress(each.search);
          return (
            <li key={each.id}>
              <button type="button" className="bare" onClick={() => {
                close();
                goTo(where, feed, chart);
              }}>{each.note || "without a note"}</button>
              <span>{where.symbol} · {where.exchange}, to {moment(where.to ?? each.made)} UTC</span>
              <button type="button" aria-label={`Delete: ${each.note || moment(each.made)}`} onClick={() => remove(each.id)}>Delete</button>
            </li>
          );
        })}
      </ul>
    </>
  );
}
