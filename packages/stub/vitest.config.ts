import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "stub",
    include: ["test/**/*.test.ts"],
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
