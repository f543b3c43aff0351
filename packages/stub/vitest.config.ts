import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "stub",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    testTimeout: 20_000,
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
