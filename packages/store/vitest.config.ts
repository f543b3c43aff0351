import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "store",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    // Processes, and a database server that others use too.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    globalSetup: ["../../scripts/build-programs.mjs", "../../scripts/build-test-programs.mjs"]
  }
})
