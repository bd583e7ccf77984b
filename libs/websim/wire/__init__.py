"""The wire protocol: messages, codec, sockets, lifecycle numbers, errors (docs/protocol.md)."""
