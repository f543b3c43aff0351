import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "domain",
    include: ["test/**/*.test.ts"],
    setupFiles: ["../../scripts/vitest-setup.mjs"],
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
