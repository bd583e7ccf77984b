"""What the sockets' options make of connections that come and go."""

import zmq

from websim.wire.sockets import make_socket, receive


def ask(router: "zmq.Socket[bytes]", dealer: "zmq.Socket[bytes]", word: bytes) -> bytes | None:
    """Send a word to the router and have it echoed; None when that never arrives."""
    assert dealer.poll(10_000, zmq.POLLOUT)
    dealer.send(word)
    if not router.poll(10_000):
        return None
    frames = receive(router)
    assert frames is not None
    router.send_multipart([frames[0].bytes, frames[1].bytes])
    assert dealer.poll(10_000)
    return dealer.recv()


def test_a_peer_that_is_back_before_its_old_connection_has_ended_is_heard():
    with zmq.Context() as context:
        router = make_socket(context, zmq.ROUTER)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        connections = [make_socket(context, zmq.DEALER) for _ in range(2)]
        for number, dealer in enumerate(connections):
            dealer.set(zmq.IDENTITY, b"the same")
            dealer.connect(f"tcp://127.0.0.1:{port}")
            word = f"connection {number}".encode()
            assert ask(router, dealer, word) == word
        for socket in (*connections, router):
            socket.close()
