import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "stub",
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
