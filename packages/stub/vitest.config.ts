import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "stub",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
