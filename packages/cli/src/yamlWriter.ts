/** The YAML writer, loaded by the commands that print YAML. See `yamlParser.ts`. */
export { stringify } from "yaml"
