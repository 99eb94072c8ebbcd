/** What the page costs: node scripts/measure.mjs ADDRESS HISTORY_S SECONDS, a line of JSON.
 *
 * HISTORY_S: so much of the past counts as there.  SECONDS: how long bytes and memory are watched. */
import { browser } from "./browser.mjs";

const [address, history, seconds] = process.argv.slice(2);
const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 2000, height: 800 } });
const page = await context.newPage();

const devtools = await context.newCDPSession(page);

/** Bytes of the page's own heap after everything unused was collected. */
async function heap() {
  await devtools.send("HeapProfiler.collectGarbage");
  return (await devtools.send("Runtime.getHeapUsage")).usedSize;
}

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
await page.mouse.move(1000, 300);
await page.mouse.down();
for (let nth = 0; nth < 100; nth++) await page.mouse.move(1000 + 300 * Math.sin(nth / 15), 300 + 40 * Math.sin(nth / 40));
await page.mouse.up();
const frames = await page.evaluate(() => [...window.ordertape.chart.costs].sort((a, b) => a - b));
await page.keyboard.press("l");

const [first, heapFirst] = [await told(), await heap()];
await page.waitForTimeout(seconds * 1000); // the time itself is what is measured
const [last, heapLast] = [await told(), await heap()];
console.log(JSON.stringify({
  opened_ms: openedMs,
  frames: frames.length,
  frame_ms_p50: frames[Math.floor(frames.length * 0.5)],
  frame_ms_p95: frames[Math.floor(frames.length * 0.95)],
  kilobytes_per_second: (last.sent_bytes - first.sent_bytes) / (last.at - first.at),
  events_per_second: ((last.sequence - first.sequence) / (last.at - first.at)) * 1000,
  conflated: last.conflated - first.conflated,
  heap_grown_bytes: heapLast - heapFirst,
  renderer: await page.getAttribute(".stage", "data-renderer"),
}));
await chromium.close();
