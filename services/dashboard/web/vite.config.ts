// The page is served by websim_dashboard under a strict Content-Security-Policy: no inline script,
// style or data: URL may come out of the build.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    outDir: "../websim_dashboard/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    chunkSizeWarningLimit: 800,
  },
});
