#!/usr/bin/env node
/**
 * Starts the bundle, without V8's optimizing compiler: in the first second (see `main.ts`) what it makes comes too late to be of
 * use, the second processor has git and the agent to start, and a command that ends within it does not wait for it.
 */
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { setFlagsFromString } from "node:v8"
import { start } from "./parts.js"

// Before anything is read: compiled forms are kept for these flags.
setFlagsFromString("--no-opt")

start(dirname(fileURLToPath(import.meta.url)))
