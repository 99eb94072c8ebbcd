/** Chromium as the tests and the pictures use it. */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"];

export function browser() {
  const executablePath = PLACES.find((place) => place && existsSync(place));
  if (!executablePath) throw new Error("Chromium is needed: install the package chromium, or name it in CHROMIUM");
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A page with these settings, at the address; waits until a column was drawn. */
export async function open(context, address, settings = {}) {
  const page = await context.newPage();
  const state = JSON.stringify({ state: settings, version: 1 });
  await page.addInitScript((kept) => localStorage.getItem("ordertape") ?? localStorage.setItem("ordertape", kept), state);
  await page.goto(address);
  await page.waitForFunction(() => Number(document.querySelector(".stage")?.dataset.newest ?? -1) > 0);
  return page;
}
