// In the place of `ws` in the bundle: it takes Node's https, tls and zlib with it, and only what serves WebSockets makes one.
module.exports = {
  get WebSocket() {
    return require("ws").WebSocket
  },
  get WebSocketServer() {
    return require("ws").WebSocketServer
  }
}
