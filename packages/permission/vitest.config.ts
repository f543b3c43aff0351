import { defineProject } from "vitest/config"

export default defineProject({
  test: {
    name: "permission",
    include: ["test/**/*.test.ts"],
    globalSetup: ["../../scripts/build-programs.mjs"]
  }
})
