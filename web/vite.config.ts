import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Relative addresses: the page also works behind a proxy that serves it below a path.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { outDir: "../src/ordertape/web", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, sourcemap: false, chunkSizeWarningLimit: 400 },
  worker: { format: "es" },
  server: { proxy: { "/api": { target: process.env.ORDERTAPE_URL ?? "http://127.0.0.1:8000", ws: true } } },
});
