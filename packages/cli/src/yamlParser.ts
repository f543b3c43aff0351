/**
 * The YAML parser, loaded by the commands that read files and not by `--help`. Named
 * exports of its own: a bundler gives the dynamic import of a CommonJS package none.
 */
export { LineCounter, parseAllDocuments } from "yaml"
