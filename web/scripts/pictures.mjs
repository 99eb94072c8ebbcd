/** Screenshots of every screen: node scripts/pictures.mjs ADDRESS FOLDER [SECONDS].
 *
 * SECONDS: what a page watches before its picture; what was before comes from the recording. */
import { mkdirSync } from "node:fs";
import { browser, open } from "./browser.mjs";

const [address, folder, seconds = "20"] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const chromium = await browser();
const SMALL = [1280, 720];
const only = process.env.ONLY?.split(",");

async function take(name, [width, height], settings, act = async () => {}) {
  const full = `${name}-${width}x${height}`;
  if (only && !only.some((part) => full.includes(part))) return;
  const context = await chromium.newContext({ viewport: { width, height } });
  const page = await open(context, address, { quality: "full", ...settings });
  page.on("pageerror", (error) => console.error(error.message));
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.waitForTimeout(Number(seconds) * 1000); // so long it watches
  await page.waitForFunction(() => {
    const { base } = window.ordertape.feed.data.pyramid;
    return base.newest - base.oldest > 300;
  }, null, { timeout: 60_000 });
  await act(page);
  await page.waitForTimeout(700); // the filter of a stage fades for 0.2 s, and a frame follows
  await page.screenshot({ path: `${folder}/${full}.png`, timeout: 90_000 });
  console.log(`${folder}/${full}.png`);
  await context.close();
}

await take("live", [1920, 1080], {});
await take("live", SMALL, {});
await take("light", SMALL, { theme: "light", tab: "Trades", drawer: true });
await take("help", SMALL, {}, (page) => page.keyboard.press("?"));
await take("settings", SMALL, { map: "viridis", pane: "cvd", profile: true }, (page) => page.click("[aria-label=Settings]"));
await take("alerts", SMALL, { tab: "Alerts", drawer: true }, async (page) => {
  await page.evaluate(async () => {
    const { exchange, symbol } = window.ordertape.feed.wish;
    for (const rule of [{ kind: "large_pulled", size: "2" }, { kind: "imbalance", imbalance: "0.3", seconds: 1 }, { kind: "spread", spread_bps: "1" }]) {
      const body = JSON.stringify({ exchange, symbol, ...rule });
      await fetch("api/v1/orderbook-heatmap/alerts/rules", { method: "POST", headers: { "content-type": "application/json" }, body });
    }
  });
  await page.waitForFunction(() => document.querySelectorAll(".words").length > 3, null, { timeout: 60_000 });
  await page.click("li:nth-child(2) .row");
});
await take("recordings", SMALL, {}, async (page) => {
  await page.keyboard.press("r");
  await page.click("dialog[open] .recordings td button:enabled", { timeout: 30_000 });
});
await take("order", SMALL, { map: "split", pane: "imbalance", tab: "Order", drawer: true }, async (page) => {
  const id = await page.evaluate(() => [...window.ordertape.feed.data.large.keys()].at(-1));
  if (id) await page.evaluate((orderId) => window.ordertape.feed.select({ orderId }), id);
  await page.mouse.move(SMALL[0] * 0.3, SMALL[1] * 0.35);
});
await take("findings", SMALL, { tab: "Findings", drawer: true }, async (page) => {
  await page.click("#tab-panel li .row", { timeout: 60_000 });
  await page.waitForSelector("#tab-panel .evidence");
});
await take("status", SMALL, {}, async (page) => {
  await page.keyboard.press("s");
  // Rates are known from the second answer on.
  await page.waitForFunction(() => document.querySelector("dialog[open] tbody")?.textContent.includes("–") === false, null, { timeout: 60_000 });
});
await take("history", SMALL, {}, async (page) => {
  await page.keyboard.press("/");
  await page.waitForSelector("dialog[open] tbody tr", { timeout: 60_000 });
});
await take("chosen", SMALL, {}, async (page) => {
  const { width, height } = await page.evaluate(() => window.ordertape.chart.camera);
  await page.keyboard.down("Alt");
  await page.mouse.move(width * 0.4, height * 0.4);
  await page.mouse.down();
  await page.mouse.move(width * 0.7, height * 0.75, { steps: 3 });
  await page.mouse.up();
  await page.keyboard.up("Alt");
  await page.waitForSelector(".chosen-box");
});
await take("flow", SMALL, { layer: "flow", pane: "cvd" });
await take("replay", SMALL, { tab: "Trades", drawer: true }, async (page) => {
  await page.evaluate(() => window.ordertape.feed.reopen({ source: "replay", at: new Date(Date.now() - 15_000).toISOString() }));
  await page.waitForFunction(() => window.ordertape.live.getState().recording && window.ordertape.live.getState().clock, null, { timeout: 60_000 });
  const from = await page.evaluate(() => Date.parse(window.ordertape.live.getState().clock.t));
  await page.evaluate(() => window.ordertape.feed.send({ op: "play", speed: 1 }));
  await page.waitForFunction((from) => Date.parse(window.ordertape.live.getState().clock.t) >= from + 8_000, from, { timeout: 60_000 });
  await page.evaluate(() => window.ordertape.feed.send({ op: "stop" }));
});
await take("tablet", [820, 1180], { pane: "depth" });
await chromium.close();
