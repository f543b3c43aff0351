/** The last bytes of a stream of unknown length, in bounded memory. */

export interface ByteTail {
  readonly add: (chunk: Uint8Array) => void
  /** What was kept, oldest first. A copy. */
  readonly bytes: () => Uint8Array
  /** True when earlier bytes were dropped. */
  readonly truncated: () => boolean
}

/** Keeps at most `limit` bytes. Starts small and grows: most commands print little. */
export const makeByteTail = (limit: number): ByteTail => {
  let store = new Uint8Array(Math.min(limit, 16 * 1024))
  let size = 0
  /** Where the next byte goes, once `store` is full at its limit. */
  let next = 0
  let dropped = false

  const grow = (wanted: number) => {
    const larger = new Uint8Array(Math.min(limit, Math.max(wanted, 2 * store.length)))
    larger.set(store.subarray(0, size))
    store = larger
  }

  return {
    add: (chunk) => {
      if (size + chunk.length > store.length && store.length < limit) grow(size + chunk.length)
      const room = store.length - size
      const head = chunk.subarray(0, room)
      store.set(head, size)
      size += head.length
      if (chunk.length <= room) return
      // Full: from here on the oldest bytes are overwritten.
      dropped = true
      const rest = chunk.subarray(Math.max(room, chunk.length - limit))
      const first = rest.subarray(0, limit - next)
      store.set(first, next)
      store.set(rest.subarray(first.length), 0)
      next = limit === 0 ? 0 : (next + rest.length) % limit
    },
    bytes: () => {
      const out = new Uint8Array(size)
      const old = store.subarray(next, size)
      out.set(old)
      out.set(store.subarray(0, next), old.length)
      return out
    },
    truncated: () => dropped
  }
}
