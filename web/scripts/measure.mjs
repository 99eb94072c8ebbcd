/** What the page costs: node scripts/measure.mjs ADDRESS HISTORY_S SECONDS WIDTH HEIGHT, a line of JSON.
 *
 * HISTORY_S: so much of the past counts as there.  SECONDS: how long bytes and memory are watched. */
import { browser } from "./browser.mjs";

const SAMPLE_S = 60;

const [address, ...numbers] = process.argv.slice(2);
const [history, seconds, width, height] = numbers.map(Number);
const chromium = await browser();
const context = await chromium.newContext({ viewport: { width, height } });
const page = await context.newPage();

const devtools = await context.newCDPSession(page);

/** Of the worker, which devtools speaks of as a target of its own. */
const workers = [];
devtools.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => targetInfo.type === "worker" && workers.push(sessionId));
await devtools.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
const answers = new Map();
devtools.on("Target.receivedMessageFromTarget", ({ message }) => {
  const { id, result } = JSON.parse(message);
  answers.get(id)?.(result);
});

async function ofWorker(method) {
  const id = answers.size;
  const answered = new Promise((done) => answers.set(id, done));
  await devtools.send("Target.sendMessageToTarget", { sessionId: workers.at(-1), message: JSON.stringify({ id, method }) });
  return answered;
}

/** Bytes of the heaps of the page and of its worker, after everything unused was collected. */
async function heap() {
  await devtools.send("HeapProfiler.collectGarbage");
  await ofWorker("HeapProfiler.collectGarbage");
  const [page, worker] = [await devtools.send("Runtime.getHeapUsage"), await ofWorker("Runtime.getHeapUsage")];
  return page.usedSize + worker.usedSize;
}

/** Processor time of the page's thread for each frame, in ms: of its scripts, and with style, layout, paint and what
 * the browser does to hand the frame on.  The clock on the wall counts whoever else has the processor, too: here
 * those are the server, the simulated venue, and the threads that stand in for a graphics card. */
function processor(events) {
  const named = events.filter((event) => event.name === "thread_name" && event.args.name === "CrRendererMain");
  const threads = new Set(named.map((event) => `${event.pid} ${event.tid}`));
  const done = events.filter((event) => event.ph === "X" && threads.has(`${event.pid} ${event.tid}`));
  const scripts = done.filter((event) => event.name === "FireAnimationFrame");
  const within = (task) => scripts.filter((script) => script.pid === task.pid && script.ts >= task.ts && script.ts < task.ts + task.dur);
  const found = done.filter((event) => event.name === "RunTask").map((task) => [within(task), task.tdur]).filter(([inside]) => inside.length > 0);
  return {
    script: found.map(([inside]) => inside.reduce((sum, event) => sum + event.tdur, 0) / 1000),
    whole: found.map(([, us]) => us / 1000),
  };
}

const sorted = (values) => values.sort((a, b) => a - b);
const quantile = (values, share) => values[Math.floor(values.length * share)];

const kept = () => page.evaluate(() => {
  const { large, trades, gaps, findings } = window.ordertape.feed.data;
  return `${large.size} large orders, ${trades.length} trades, ${gaps.length} gaps, ${findings.length} findings`;
});

const told = () => page.evaluate(() => {
  const { sent_bytes, conflated, sequence } = window.ordertape.live.getState().status;
  return { at: performance.now(), sent_bytes, conflated, sequence };
});

await page.goto(address);
// By the page's own clock, which begins when the address is opened.
const opened = await page.waitForFunction(
  (spanMs) => {
    const { chart, feed } = window.ordertape ?? {};
    const there = feed?.data.pyramid.rings.some((ring) => ring.newest > 0 && (ring.newest - ring.oldest) * ring.bucketMs >= spanMs);
    return there && chart.frames > 0 && performance.now();
  },
  history * 1000,
  { timeout: 60_000, polling: 20 },
);
const openedMs = Math.round(await opened.jsonValue());
await page.waitForFunction(() => window.ordertape.live.getState().status?.sent_bytes > 0);

// Dragged to and fro, as fast as a hand does.
await page.evaluate(() => (window.ordertape.chart.costs.length = 0));
const events = [];
devtools.on("Tracing.dataCollected", ({ value }) => events.push(...value));
const includedCategories = ["__metadata", "devtools.timeline", "disabled-by-default-devtools.timeline"];
await devtools.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories } });
const across = (nth) => width * (0.5 + 0.15 * Math.sin(nth / 15));
const down = (nth) => height * (0.375 + 0.05 * Math.sin(nth / 40));
await page.mouse.move(across(0), down(0));
await page.mouse.down();
for (let nth = 0; nth < 100; nth++) await page.mouse.move(across(nth), down(nth));
await page.mouse.up();
const traced = new Promise((done) => devtools.once("Tracing.tracingComplete", done));
await devtools.send("Tracing.end");
await traced;
const frames = sorted(await page.evaluate(() => window.ordertape.chart.costs));
const { script, whole } = processor(events);
sorted(script);
sorted(whole);
await page.keyboard.press("l");

const [first, heaps] = [await told(), [await heap()]];
for (let left = seconds; left > 0; left -= SAMPLE_S) {
  await page.waitForTimeout(Math.min(left, SAMPLE_S) * 1000); // the time itself is what is measured
  heaps.push(await heap());
  process.stderr.write(`${Math.max(0, left - SAMPLE_S)} s to go, heap ${(heaps.at(-1) / 1e6).toFixed(2)} MB, ${await kept()}\n`);
}
const last = await told();
console.log(JSON.stringify({
  opened_ms: openedMs,
  frames: frames.length,
  chart_wall_ms: [quantile(frames, 0.5), quantile(frames, 0.95)],
  script_ms: [quantile(script, 0.5), quantile(script, 0.95)],
  whole_ms: [quantile(whole, 0.5), quantile(whole, 0.95)],
  kilobytes_per_second: (last.sent_bytes - first.sent_bytes) / (last.at - first.at),
  events_per_second: ((last.sequence - first.sequence) / (last.at - first.at)) * 1000,
  conflated: last.conflated - first.conflated,
  heap_bytes: heaps,
  renderer: await page.getAttribute(".stage", "data-renderer"),
}));
await chromium.close();
