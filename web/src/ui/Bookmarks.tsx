import { useEffect, useState } from "react";
import { create } from "zustand";
import type { Chart } from "../heat/chart";
import type { Feed } from "../market/feed";
import { useLive } from "../market/state";
import { address, answered, ask, posting } from "../wire/server";
import { goTo, readAddress, viewAddress } from "./address";
import { Dialog } from "./Dialogs";
import { moment } from "./Recordings";

interface Bookmark {
  id: number;
  note: string;
  /** What stands in the address from the question mark on. */
  view: string;
  made: string;
}

interface Kept {
  /** Newest first; null: not asked for yet. */
  all: Bookmark[] | null;
  problem: string;
  load: () => Promise<void>;
  add: (note: string, view: string) => Promise<void>;
  remove: (id: number) => Promise<void>;
}

/** Kept by the server, so that they are the same in every browser. */
const useBookmarks = create<Kept>()((set) => {
  const tried = async (task: () => Promise<void>): Promise<void> => {
    try {
      await task();
      set({ problem: "" });
    } catch (error) {
      set({ problem: (error as Error).message });
    }
  };
  return {
    all: null,
    problem: "",
    load: () => tried(async () => {
      const { bookmarks } = await ask<{ bookmarks: Bookmark[] }>(address("bookmarks"));
      set({ all: bookmarks });
    }),
    add: (note, view) => tried(async () => {
      const made = await ask<Bookmark>(address("bookmarks"), posting({ note, view }));
      set(({ all }) => ({ all: [made, ...(all ?? [])] }));
    }),
    remove: (id) => tried(async () => {
      await answered(address(`bookmarks/${id}`), { method: "DELETE" });
      set(({ all }) => ({ all: (all ?? []).filter((each) => each.id !== id) }));
    }),
  };
});

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
  const { all, problem, load, add, remove } = useBookmarks();
  useEffect(() => void load(), [load]);
  const opened = useLive((state) => state.opened);
  const [note, setNote] = useState("");
  return (
    <>
      <form className="filters" onSubmit={(event) => {
        event.preventDefault();
        const shown = chart();
        if (!opened || !shown) return;
        void add(note.trim(), viewAddress(shown.camera, opened));
        setNote("");
      }}>
        <input size={48} maxLength={500} aria-label="Note" placeholder="what is to be seen here" value={note} onChange={(event) => setNote(event.target.value)} />
        <button type="submit" disabled={!opened}>Keep this view</button>
      </form>
      {problem && <p role="alert" className="warned">{problem} <button type="button" onClick={() => void load()}>Try again</button></p>}
      {!all && !problem && <p className="empty">Waiting for the server.</p>}
      {all?.length === 0 && <p className="empty">Nothing is kept here yet.</p>}
      <ul className="bookmarks">
        {all?.map((each) => {
          const where = readAddress(each.view);
          return (
            <li key={each.id}>
              <button type="button" className="bare" onClick={() => {
                close();
                goTo(where, feed, chart);
              }}>{each.note || "without a note"}</button>
              <span>{where.symbol} · {where.exchange}, to {moment(where.to ?? each.made)} UTC</span>
              <button type="button" aria-label={`Delete: ${each.note || moment(each.made)}`} onClick={() => void remove(each.id)}>Delete</button>
            </li>
          );
        })}
      </ul>
    </>
  );
}
