import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "server",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    // A guard against what hangs, not a measure of speed: machines differ.
    testTimeout: 240_000,
    hookTimeout: 240_000
  }
})
