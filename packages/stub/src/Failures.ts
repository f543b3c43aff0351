/**
 * The ways in which the API refuses, as the stream shows them: the synthetic assistant message and the result, which
 * says `subtype: success` and `is_error: true` at once. Figures and texts are those of the real agent's captures.
 */
import type { ApiFailure, ErrorClass } from "./Scenario.js"

interface Look {
  /** The `error` of the assistant event. */
  readonly error: string
  readonly status: number | null
  readonly type: string | undefined
  readonly terminalReason: string
  readonly text: string
}

const later = "This is a server-side issue, usually temporary — try again in a moment."

const looks: Readonly<Record<ErrorClass, Look>> = {
  rate_limit: {
    error: "rate_limit",
    status: 429,
    type: "rate_limit_error",
    terminalReason: "api_error",
    text: "API Error: Request rejected (429) · This request would exceed your rate limit"
  },
  authentication_failed: {
    error: "authentication_failed",
    status: 401,
    type: "authentication_error",
    terminalReason: "api_error",
    text: "Invalid API key · Fix external API key"
  },
  billing_error: {
    error: "billing_error",
    status: 400,
    type: "invalid_request_error",
    terminalReason: "api_error",
    text: "Credit balance is too low"
  },
  server_error: {
    error: "server_error",
    status: 500,
    type: "api_error",
    terminalReason: "api_error",
    text: `API Error: 500 Internal server error. ${later}`
  },
  overloaded: {
    error: "server_error",
    status: 529,
    type: "overloaded_error",
    terminalReason: "api_error",
    text: "API Error: Repeated 529 Overloaded errors. The API is at capacity — this is usually temporary. Try again in a moment."
  },
  invalid_request: {
    error: "invalid_request",
    status: 400,
    type: "invalid_request_error",
    terminalReason: "api_error",
    text: "API Error: 400 The request is not valid"
  },
  model_not_found: {
    error: "model_not_found",
    status: 404,
    type: "not_found_error",
    terminalReason: "api_error",
    text: "There's an issue with the selected model. It may not exist or you may not have access to it. Run --model to pick a different model."
  },
  prompt_too_long: {
    error: "invalid_request",
    status: 400,
    type: "invalid_request_error",
    terminalReason: "prompt_too_long",
    text: "Prompt is too long"
  },
  payload_too_large: {
    error: "invalid_request",
    status: 413,
    type: "request_too_large",
    terminalReason: "image_error",
    text: "Request too large (max 32MB). Accumulated images and attachments in the conversation pushed the request over the limit. Remove older images or compact the conversation."
  },
  not_logged_in: {
    error: "authentication_failed",
    status: null,
    type: undefined,
    terminalReason: "api_error",
    text: "Not logged in · Please run /login"
  },
  connection_failed: {
    error: "server_error",
    status: null,
    type: undefined,
    terminalReason: "api_error",
    text: "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"
  }
}

export interface ShownFailure extends Look {
  /** Fields of both the assistant event and the result. */
  readonly shared: Readonly<Record<string, unknown>>
}

export const showFailure = (failure: ApiFailure): ShownFailure => {
  const look = looks[failure.class]
  const status = failure.status ?? look.status
  return {
    ...look,
    status,
    text: failure.text ?? look.text,
    shared: {
      ...(look.type === undefined ? {} : { api_error_type: look.type }),
      ...(failure.class === "connection_failed" ? { api_error: "connection_failed" } : {})
    }
  }
}
