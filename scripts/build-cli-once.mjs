// vitest's global setup of the command line's tests.
export { buildCli as default } from "./build.mjs"
