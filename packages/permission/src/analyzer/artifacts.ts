/** Files and directories that no source depends on: what builds, tests and installs make. */
import { isInside, relativeOf } from "./paths.js"
import type { Run } from "./Shell.js"

/** Directories that a build, a test or an install makes anew. */
const madeAnew =
  /^(dist([-.].*)?|build([-.].*)?|out([-.].*)?|output|outputs|coverage|node_modules|target|obj|\.next|\.nuxt|\.output|\.turbo|\.cache|\.parcel-cache|\.vite|\.svelte-kit|\.angular|\.expo|\.nyc_output|\.pytest_cache|\.mypy_cache|\.ruff_cache|\.tox|\.nox|\.eggs|\.gradle|\.dart_tool|\.terraform|\.serverless|\.webpack|\.rollup\.cache|\.eslintcache|\.stylelintcache|\.jest-cache|\.swc|\.rpt2_cache|\.tsbuildinfo|\.hypothesis|\.ipynb_checkpoints|__pycache__|htmlcov|_site|_build|public\/build|storybook-static|playwright-report|test-results|logs?|tmp|temp|\.tmp|\.temp|cache|venv|\.venv|generated|__generated__|artifacts?|vendor\/bundle|cmake-build-.*|.*\.egg-info|.*\.dSYM|.*\.xcarchive|DerivedData|Pods|lib-cov|typings|esm|cjs|types-dist|.*[-_.]?te?mp([-_.].*)?|scratch.*|bench-results|snapshots?-tmp|unzipped|extracted)$/i

/** Files that no source depends on, by pattern. */
const artifact =
  /(\.(log|tmp|temp|bak|orig|rej|swp|pyc|pyo|o|obj|so|a|class|tgz|tar\.gz|tar|zip|tsbuildinfo|map|gcda|gcno|lcov|out|exe|dll|test|prof|heapsnapshot|cpuprofile|vsix|whl|jar|pid)|~)$/i

export const inMadeAnew = (relative: string): boolean => relative.split("/").some((it) => madeAnew.test(it))

export const isArtifact = (name: string): boolean => artifact.test(name)

/** A pattern of names within the workspace that sources may have. */
export const isLossByPattern = (run: Run, path: string): boolean => {
  if (!/[*?[]/.test(path) || !isInside(run, path)) return false
  const relative = relativeOf(run, path)
  return !inMadeAnew(relative) && !isArtifact(relative.split("/").at(-1) ?? "")
}
