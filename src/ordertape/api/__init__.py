"""The server's REST and WebSocket interface: routes by noun, the store that each page comes from,
and the figures of a tape."""
