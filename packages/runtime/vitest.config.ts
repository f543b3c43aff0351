import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "runtime",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
