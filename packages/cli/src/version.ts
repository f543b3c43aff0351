/** The driver's version. The bundler puts the one of `package.json` in; run from the sources it says so. */

declare const __DRIVER_VERSION__: string | undefined

export const version: string = typeof __DRIVER_VERSION__ === "string" ? __DRIVER_VERSION__ : "0.0.0-source"
