// vitest's global setup of the command line's tests.
import { buildCli } from "./build.mjs"

export default async () => {
  await buildCli()
}
