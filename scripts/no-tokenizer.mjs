// Stands in the bundle for the tokenizers of the language models' packages: megabytes that `driver` never uses.
const none = () => {
  throw new Error("driver is bundled without tokenizers")
}

export const getTokenizer = none
export const encode = none
export const encodeChat = none
export const decode = none
