/** Options and arguments that several commands take. */
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"

export const config = Options.file("config").pipe(
  Options.withAlias("c"),
  Options.withDescription("Configuration file. Default: driver.yaml here or in the repository's root, if there is one"),
  Options.optional
)

export const json = (what: string) => Options.boolean("json").pipe(Options.withDescription(`Print ${what} as JSON`))

/** A whole number that is at least so big. */
export const wholeNumber = (name: string, least: 0 | 1) =>
  Options.integer(name).pipe(
    Options.mapEffect((value) =>
      value < least
        ? Effect.fail(
            ValidationError.invalidValue(HelpDoc.p(`--${name} takes a whole number from ${least}, not ${value}`))
          )
        : Effect.succeed(value)
    )
  )

/** The parser takes an option that it does not know for an argument. Nobody names a file or a goal like that. */
export const argument = (name: string) =>
  Args.text({ name }).pipe(
    Args.mapEffect((text) =>
      /^--?[a-z]/.test(text)
        ? Effect.fail(HelpDoc.p(`There is no option ${text} here: see --help. A file of that name is ./${text}`))
        : Effect.succeed(text)
    )
  )
