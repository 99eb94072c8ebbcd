/** A real browser on a real server: node tests/browser.mjs ADDRESS.
 *
 * One line of JSON a promise: {name, ok, said, ms}.  `{"ask": "kill"}` and `{"ask": "start"}` are for whoever
 * runs the server; a line on stdin says that it is done. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg } from "node:os";
import { createInterface } from "node:readline";
import { browser, open } from "../scripts/browser.mjs";

const [address] = process.argv.slice(2);
/** By how much others may hold it up who compute on this machine, too: waiting ends where something is broken. */
const crowd = Math.max(2, loadavg()[0] / cpus().length);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1280, height: 720 } });
context.setDefaultTimeout(30_000 * crowd);
const errors = [];

async function promise(name, keep) {
  const began = Date.now();
  const say = (ok, said) => console.log(JSON.stringify({ name, ok, said, ms: Date.now() - began }));
  try {
    say(true, (await keep()) ?? "");
  } catch (error) {
    say(false, String(error.message ?? error));
    // What it left open is not to fail the next.
    await page?.evaluate(() => document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close())).catch(() => {});
  }
}

async function ask(what) {
  console.log(JSON.stringify({ ask: what }));
  await lines.next();
}

function expect(condition, said) {
  if (!condition) throw new Error(said);
}

let page;
const health = () => page.getAttribute(".stage", "data-health");
const camera = () => page.evaluate(() => ({ ...window.ordertape.chart.camera.spot, follow: window.ordertape.chart.camera.followTime }));

/** In the page: how many pixels of a canvas are not those that are painted by hand, and how many colours. */
await context.addInitScript(() => {
  window.differing = (canvas, pyramid, view, look) => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const brush = copy.getContext("2d");
    brush.drawImage(canvas, 0, 0);
    const drawn = brush.getImageData(0, 0, copy.width, copy.height).data;
    const meant = new Uint8ClampedArray(drawn.length);
    window.ordertape.paint(meant, copy.width, copy.height, pyramid, view, look);
    let differ = 0;
    const colours = new Set();
    for (let at = 0; at < drawn.length; at += 4) {
      colours.add((drawn[at] << 16) | (drawn[at + 1] << 8) | drawn[at + 2]);
      differ += [0, 1, 2].some((part) => Math.abs(drawn[at + part] - meant[at + part]) > 1);
    }
    return { differ, colours: colours.size };
  };
  /** Of what is seen now, which stands meanwhile. */
  window.differingNow = (map, pyramid) => {
    const { chart, settings, live } = window.ordertape;
    live.setState({ frozen: true });
    const { theme, low, high, dim } = settings.getState();
    const look = { map: map ?? settings.getState().map, theme, low, high, dim };
    chart.renderer.draw(chart.view(), look);
    const found = window.differing(document.querySelector("canvas.heat"), pyramid, chart.view(), look);
    live.setState({ frozen: false });
    return found;
  };
});

/** How many times longer than 20 ms a piece of work takes here and now: two slow virtual cores take twice that of their
 * own time, and other tests run beside this one. */
function slowness() {
  const began = performance.now();
  const made = Array.from({ length: 20_000 }, (_, nth) => ({ id: `order ${(nth * 7919) % 20_000}`, nth }));
  made.sort((a, b) => (a.id < b.id ? -1 : 1));
  new Map(JSON.parse(JSON.stringify(made)).map((each) => [each.id, each]));
  return Math.max(1, (performance.now() - began) / 20);
}

await promise("a live book within 3 s", async () => {
  slowness(); // compiled
  const tries = [];
  for (let nth = 0; nth < 5; nth++) {
    await page?.close();
    const before = slowness();
    const began = performance.now();
    page = await open(context, address);
    await page.waitForFunction(() => window.ordertape.feed.data.ladder.bids.length > 5);
    const ms = performance.now() - began;
    const slow = Math.max(before, slowness());
    tries.push(`${ms.toFixed()} ms on a machine ${slow.toFixed(1)} times slower`);
    if (ms < 3_000 * slow) return tries.at(-1);
  }
  throw new Error(`it took ${tries.join(", ")}`);
});
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(error.message));

await promise("the market is named live and simulated", async () => {
  await page.waitForFunction(() => document.querySelector(".badge.live"));
  const badges = await page.textContent(".badges");
  expect(/LIVE/.test(badges) && /SIMULATED/.test(badges), badges);
});

/** Draws a market of its own by WebGL and by hand; the share of pixels that differ. */
const compare = () => page.evaluate(async () => {
  const { Pyramid, drawWebGl } = window.ordertape;
  const pyramid = new Pyramid();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [300, 160];
  const renderer = drawWebGl(canvas, pyramid);
  pyramid.changed = (level, slot) => renderer.changed(level, slot);
  const begin = 17_953_641_000;
  const put = (bucket) => {
    const base = 9_000_000_000 + Math.floor((bucket - begin) / 700) * 37;
    const codes = new Uint8Array(1024).map((_, row) => ((bucket >> 3) * 31 + row * 17 + ((row * row) % 13)) % 254);
    // Some know fewer rows, as columns of tiles do.
    const [from, height] = bucket % 200 < 40 ? [700, 60] : [0, 1024];
    pyramid.put(0, { bucket, base: base + from, codes: codes.subarray(0, height), bid: base + 500, ask: base + 510, last: base + 505 });
  };
  for (let bucket = begin; bucket < begin + 5_200; bucket++) put(bucket);
  pyramid.gap(begin + 5_100, begin + 5_110);
  const end = (begin + 5_200) * 100;
  const views = {
    "one to one": { level: 0, fromMs: end - 30_000, msPerPixel: 100, rowsPerPixel: 1 },
    "zoomed in": { level: 0, fromMs: end - 15_030, msPerPixel: 33, rowsPerPixel: 0.17 },
    "zoomed out": { level: 2, fromMs: end - 390_000, msPerPixel: 1_300, rowsPerPixel: 2.3 },
    "across the wrap of the ring": { level: 0, fromMs: (Math.floor(end / 100 / 4096) * 4096 - 150) * 100, msPerPixel: 100, rowsPerPixel: 1 },
    "across a shift of prices": { level: 0, fromMs: (begin + 4_900 - 150) * 100, msPerPixel: 100, rowsPerPixel: 1.5 },
  };
  const found = {};
  for (const map of ["heat", "split"]) {
    const look = { map, theme: "dark", low: 30, high: 200, dim: 1 };
    for (const [name, some] of Object.entries(views)) {
      const view = { topRow: 9_000_000_000 + 260.4 + 560, group: 1, ...some };
      renderer.draw(view, look);
      const { differ, colours } = window.differing(canvas, pyramid, view, look);
      found[`${map}, ${name}`] = [differ, colours];
    }
  }
  return found;
});

await promise("its pixels are those of a renderer without WebGL", async () => {
  const found = await compare();
  for (const [name, [differ, colours]] of Object.entries(found)) {
    expect(differ === 0 && colours > 20, `${name}: ${differ} pixels differ, ${colours} colours`);
  }
  return `${Object.keys(found).length} pictures`;
});

await promise("the live heatmap is drawn, and as without WebGL", async () => {
  const found = await page.evaluate(() => window.differingNow(null, window.ordertape.feed.data.pyramid));
  expect(found.colours > 10 && found.differ === 0, JSON.stringify(found));
});

await promise("keys do what the help says", async () => {
  const settings = () => page.evaluate(() => window.ordertape.settings.getState());
  await page.keyboard.press("k");
  expect((await settings()).map === "viridis", "k");
  await page.keyboard.press("?");
  expect(await page.isVisible("dialog kbd"), "?");
  await page.keyboard.press("Escape");
  // At once: for a moment the hidden dialogue has the focus still.
  const before = await camera();
  await page.keyboard.press("Shift+ArrowUp");
  const after = await camera();
  // Prices may be followed between the two looks, by less than a tenth of the picture.
  expect(after.row > before.row + 5 && after.row < before.row + 15, `up: ${before.row} to ${after.row}`);
  await page.keyboard.press("ArrowLeft");
  expect(!(await camera()).follow, "left: following on");
  await page.keyboard.press("l");
  expect((await camera()).follow, "l: not following");
  await page.click("[aria-label='Other theme']");
  await page.keyboard.press(" ");
  expect(await page.isVisible("text=FROZEN"), "space: not frozen, or the button that was clicked was meant");
  await page.keyboard.press(" ");
  await page.click("[aria-label='Other theme']");
});

await promise("dragging pans, the wheel zooms where it stands, a box can be left again", async () => {
  await page.mouse.move(300, 200);
  const before = await camera();
  await page.mouse.wheel(0, 240);
  await page.waitForFunction((was) => window.ordertape.chart.camera.spot.msPerPixel > was, before.msPerPixel);
  await page.mouse.down();
  await page.mouse.move(340, 200, { steps: 4 });
  await page.mouse.up();
  const panned = await camera();
  expect(!panned.follow, "still following");
  await page.keyboard.down("Shift");
  await page.mouse.move(200, 150);
  await page.mouse.down();
  await page.mouse.move(420, 300, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up("Shift");
  expect((await camera()).msPerPixel < panned.msPerPixel, "no closer");
  await page.keyboard.press("Control+z");
  expect(Math.abs((await camera()).msPerPixel - panned.msPerPixel) < 1e-6, "not back");
  await page.keyboard.press("z");
});

await promise("a rule made here fires, and a click on its alert is where it fired", async () => {
  await page.evaluate(() => window.ordertape.settings.getState().set({ tab: "Alerts", drawer: true }));
  await page.click(".rules summary");
  await page.selectOption("[aria-label='Alert me of']", "imbalance");
  const [least, seconds] = await page.locator(".rules form input").all();
  await least.fill("0.000001");
  await seconds.fill("0");
  await page.click(".rules form button");
  await page.waitForSelector(".rules li");
  await page.waitForSelector(".words");
  await page.click(".rules li button");
  await page.waitForFunction(() => window.ordertape.live.getState().rules.length === 0);
  await page.click(".row");
  const { t, price } = await page.evaluate(() => window.ordertape.live.getState().alerts[0]);
  const seen = await page.evaluate(() => {
    const { chart, live } = window.ordertape;
    const { camera } = chart;
    return { ms: camera.ms(camera.width / 2), row: camera.spot.row, follow: camera.followTime, opened: live.getState().opened };
  });
  const row = (Number(price) * 10 ** seen.opened.price_scale) / seen.opened.group;
  expect(!seen.follow && Math.abs(seen.ms - Date.parse(t)) < 1_000 && Math.abs(seen.row - row) <= 2, JSON.stringify({ t, price, seen }));
  await page.evaluate(() => window.ordertape.settings.getState().set({ drawer: false, tab: "Large orders" }));
  await page.keyboard.press("Escape");
  await page.keyboard.press("l");
});

await promise("contrast is typed, a stretch is taken along, a bookmark is kept by the server", async () => {
  await page.fill("[aria-label='Largest size of the colours']", "90 %");
  await page.keyboard.press("Enter");
  expect(await page.evaluate(() => window.ordertape.settings.getState().highShare) === 0.9, "90 %");
  await page.evaluate(() => window.ordertape.settings.getState().set({ highShare: null }));
  // The newest time: who is quick here comes before much was recorded.
  const { x, width } = await page.locator(".stage").boundingBox();
  await page.keyboard.down("Alt");
  await page.mouse.move(x + width - 300, 150);
  await page.mouse.down();
  await page.mouse.move(x + width - 100, 420, { steps: 3 });
  await page.mouse.up();
  await page.keyboard.up("Alt");
  const files = await page.locator(".chosen-box a").evaluateAll((links) => Promise.all(links.map(async ({ href }) => {
    const answer = await fetch(href);
    return [answer.status, answer.headers.get("content-type"), (await answer.text()).slice(0, 4)];
  })));
  expect(files.length === 2 && files.every(([status]) => status === 200) && /csv/.test(files[0][1]) && files[1][2] === "PAR1", JSON.stringify(files));
  await page.click("[aria-label='Close the chosen stretch']");
  await page.keyboard.press("j");
  await page.fill("[aria-label=Note]", "seen <b>here</b>");
  await page.click("text=Keep this view");
  await page.waitForSelector(".bookmarks li");
  const kept = await page.evaluate(async () => (await (await fetch("api/v1/orderbook-heatmap/bookmarks")).json()).bookmarks);
  expect(kept.length === 1 && kept[0].note === "seen <b>here</b>", JSON.stringify(kept));
  await page.click(".bookmarks li button:last-child");
  await page.waitForFunction(() => !document.querySelector(".bookmarks li"));
  await page.keyboard.press("Escape"); // its focus went with the button
  await page.waitForFunction(() => !document.querySelector("dialog[open]"));
});

await promise("an order id made of HTML does nothing", async () => {
  await page.evaluate(() => {
    const { feed, settings } = window.ordertape;
    const order_id = '<img src=x onerror="window.hurt = 1"><b id="hurt">';
    feed.data.takeLarge({ op: "large", stream: 1, order_id, handle: 1, side: "bid", price: "1", size: "1", size_first: "1", filled: "0", opened: "2026-01-01T00:00:00Z", era: 1 });
    settings.getState().set({ tab: "Order", drawer: true });
    feed.select({ orderId: order_id });
  });
  await page.waitForFunction(() => document.querySelector("#tab-panel")?.textContent.includes("<img src=x"));
  expect(await page.evaluate(() => !window.hurt && !document.querySelector("#hurt, #tab-panel img")), "it was taken as HTML");
  await page.evaluate(() => window.ordertape.feed.select(null));
});

await promise("another group of prices is another picture", async () => {
  const before = await page.evaluate(() => window.ordertape.live.getState().opened.group);
  await page.keyboard.press(">");
  await page.waitForFunction((was) => window.ordertape.live.getState().opened.group > was && window.ordertape.feed.data.pyramid.base.newest > 0, before);
});

await promise("recordings are listed, and one is replayed from where it begins", async () => {
  await page.keyboard.press("r");
  await page.click("dialog[open] .recordings td button:enabled");
  const began = await page.getAttribute("dialog[open] .inside li:last-child time", "datetime");
  await page.click("dialog[open] .inside li:last-child button");
  await page.waitForFunction(() => window.ordertape.live.getState().opened?.source === "replay" && window.ordertape.live.getState().clock);
  const { t } = await page.evaluate(() => window.ordertape.live.getState().clock);
  expect(Math.abs(Date.parse(t) - Date.parse(began)) < 1_000, `${began} began, ${t} is shown`);
  expect(!(await page.isVisible("dialog[open]")), "the list stays");
  await page.keyboard.press("l");
  await page.waitForFunction(() => window.ordertape.live.getState().opened?.source === "live");
  await page.waitForFunction(() => document.querySelector(".stage").dataset.health === "live");
});

await promise("what came and went is a layer, drawn as without WebGL", async () => {
  await page.keyboard.press("f");
  await page.waitForFunction(() => window.ordertape.feed.data.flows.base.newest > 0);
  const { differ } = await page.evaluate(() => window.differingNow("flow", window.ordertape.feed.data.flows));
  await page.keyboard.press("f");
  expect(differ === 0, `${differ} pixels differ`);
});

await promise("a replay that is played fast is followed, and live has its past again", async () => {
  await page.evaluate(() => {
    const { feed } = window.ordertape;
    feed.reopen({ source: "replay", at: new Date(Date.now() - 20_000).toISOString() });
  });
  await page.waitForFunction(() => window.ordertape.live.getState().opened?.source === "replay" && window.ordertape.live.getState().clock);
  await page.evaluate(() => window.ordertape.feed.send({ op: "play", speed: 20 }));
  await page.waitForFunction(() => {
    const { chart, feed } = window.ordertape;
    const { finest, finestLevel } = feed.data.pyramid;
    const ms = finest.newest * finest.bucketMs;
    return finestLevel === 3 && ms > chart.camera.fromMs && ms < chart.camera.spot.rightMs;
  });
  const began = Date.now();
  await page.keyboard.press("l");
  await page.waitForFunction(() => {
    const { base } = window.ordertape.feed.data.pyramid;
    return window.ordertape.live.getState().opened?.source === "live" && base.newest - base.oldest > 100;
  });
  return `its past after ${Date.now() - began} ms`;
});

await promise("screens have addresses, and say what the server does", async () => {
  const other = await context.newPage();
  for (const [path, words] of [["status", "Every role"], ["alerts", "Alerts that fired"], ["sessions", "market"]]) {
    await other.goto(new URL(path, address).href);
    await other.waitForFunction((said) => document.querySelector("dialog[open]")?.textContent.includes(said), words)
      .catch(async () => expect(false, `${path} says ${await other.evaluate(() => document.querySelector("dialog[open]")?.textContent)}`));
  }
  await other.keyboard.press("Escape");
  await other.waitForFunction(() => location.pathname === "/" && !document.querySelector("dialog[open]"));
  await other.close();
});

await promise("findings are drawn and listed, and one leads to its replay", async () => {
  await page.evaluate(() => window.ordertape.settings.getState().set({ tab: "Findings", drawer: true }));
  // The simulator's icebergs; the keeper looks through a tape now and then.
  await page.waitForSelector("#tab-panel li .row");
  await page.click("#tab-panel li .row");
  await page.waitForSelector("#tab-panel .evidence");
  const at = await page.evaluate(() => {
    const { chart, feed, live } = window.ordertape;
    const chosen = feed.data.findings.find(({ id }) => id === live.getState().finding);
    const [middle, began, ended] = [chart.camera.ms(chart.camera.width / 2), Date.parse(chosen.began), Date.parse(chosen.ended)];
    // It may have gone on since it was clicked: a later phase ends later.
    return { seen: Math.max(0, began - middle, middle - ended), began };
  });
  expect(at.seen < 1_000, `the picture is ${at.seen} ms away`);
  await page.click("#tab-panel .evidence button");
  await page.waitForFunction((began) => {
    const { opened, clock } = window.ordertape.live.getState();
    // A recording that is younger than that begins with it.
    return opened?.source === "replay" && clock && Date.parse(clock.t) < began + 1_000;
  }, at.began);
  await page.evaluate(() => window.ordertape.settings.getState().set({ tab: "Large orders", drawer: false }));
  await page.keyboard.press("l");
  await page.waitForFunction(() => document.querySelector(".stage").dataset.health === "live");
});

await promise("axe finds no serious violation", async () => {
  await page.evaluate(axe);
  for (const theme of ["dark", "light"]) {
    await page.evaluate((theme) => window.ordertape.settings.getState().set({ theme, tab: "Large orders" }), theme);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
    expect(serious.length === 0, serious.map(({ id, nodes }) => `${theme} ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`).join("; "));
    // Both themes share the rules of every dialogue but for their colours, which the document has, too.
    for (const [key, name] of theme === "dark" ? [["s", "status"], ["j", "bookmarks"]] : [["/", "alerts"]]) {
      await page.keyboard.press(key);
      await page.waitForSelector("dialog[open]");
      const over = await page.evaluate(() => window.axe.run(document.querySelector("dialog[open]"), { resultTypes: ["violations"] }));
      const wrong = over.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      expect(wrong.length === 0, wrong.map(({ id, nodes }) => `${theme} ${name} ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`).join("; "));
      await page.keyboard.press("Escape");
      await page.waitForFunction(() => !document.querySelector("dialog[open]"));
    }
  }
  await page.evaluate(() => window.ordertape.settings.getState().set({ theme: "dark" }));
});

await promise("a lost context comes back with all of its columns", async () => {
  await page.evaluate(async () => {
    const { renderer } = window.ordertape.chart;
    const extension = renderer.gl.getExtension("WEBGL_lose_context");
    extension.loseContext();
    await new Promise((done) => setTimeout(done, 50));
    extension.restoreContext();
  });
  await page.waitForFunction(() => !window.ordertape.chart.renderer.lost);
  const frames = await page.evaluate(() => window.ordertape.chart.frames);
  await page.waitForFunction((was) => window.ordertape.chart.frames > was + 1, frames);
  const colours = await page.evaluate(() => {
    const heat = document.querySelector("canvas.heat");
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [heat.width, heat.height];
    copy.getContext("2d").drawImage(heat, 0, 0);
    return new Set(new Uint32Array(copy.getContext("2d").getImageData(0, 0, copy.width, copy.height).data.buffer)).size;
  });
  expect(colours > 5, `${colours} colours`);
});

await promise("no error was told and no policy broken", async () => {
  expect(errors.length === 0, errors.join("; "));
});

await promise("a server that is gone makes it stale, and it recovers alone", async () => {
  await ask("kill");
  await page.waitForFunction(() => document.querySelector(".stage").dataset.health === "stale");
  expect(/Nothing new for/.test(await page.textContent(".over")), "no age");
  await ask("start");
  await page.waitForFunction(() => document.querySelector(".stage").dataset.health === "live");
  const hatched = await page.evaluate(() => {
    const { base } = window.ordertape.feed.data.pyramid;
    return Array.from({ length: 300 }, (_, back) => base.sample(base.newest - back, base.bases[base.slot(base.newest)])).includes(255);
  });
  expect(hatched, `the time without a server is not shown as unknown: ${await health()}`);
});

await chromium.close();
process.exit(0);
