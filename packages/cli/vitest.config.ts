import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "cli",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    // The process-level tests run the command as it is shipped.
    globalSetup: ["../../scripts/build-cli-once.mjs"],
    testTimeout: 240_000,
    hookTimeout: 240_000
  }
})
