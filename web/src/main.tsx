import { createRoot } from "react-dom/client";
import { Feed } from "./market/feed";
import { App } from "./ui/App";
import "./style.css";

const worker = new Worker(new URL("./worker/worker.ts", import.meta.url), { type: "module" });
const feed = new Feed(worker);
createRoot(document.getElementById("root")!).render(<App feed={feed} />);
