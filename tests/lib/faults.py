"""A TCP proxy between the gateway and its store that can stop being helpful. It runs in a thread of the case."""
import asyncio
import random
import socket
import struct
import threading


class Faults:
    """mode: "pass"; "refuse" (nothing listens); "503" (every request); "reset" (cut after some bytes, either way);
    "stall" (accepts, answers nothing)."""

    def __init__(self, port, target):
        self.port, self.target = port, target
        self.mode = "pass"
        self.seen = {}  # mode: connections that it spoiled
        self.random = random.Random(3)
        self.writers = set()
        self.server = None
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self._do(self._listen())

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    async def _listen(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def set(self, mode):
        self._do(self._set(mode))

    async def _set(self, mode):
        """From now on; connections that are open are cut."""
        was, self.mode = self.mode, mode
        for writer in list(self.writers):
            self._cut(writer)
        if mode == "refuse":
            self.server.close()
        elif was == "refuse":
            await self._listen()

    @staticmethod
    def _cut(writer):
        sock = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def _serve(self, reader, writer):
        self.writers.add(writer)
        mode = self.mode
        self.seen[mode] = self.seen.get(mode, 0) + 1
        try:
            if mode == "503":
                await self._answer_503(reader, writer)
            elif mode == "stall":
                await reader.read()
            else:
                await self._forward(reader, writer, mode == "reset")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    @staticmethod
    async def _answer_503(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please slow down</Message></Error>"
        writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: "
                     + str(len(body)).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    async def _forward(self, reader, writer, spoil):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers.add(there_writer)
        # Half of the connections live for a while, so that there is progress too.
        budget = [self.random.choice((20000, 300000, 5000000, 50000000)) if spoil else None]

        async def pump(source, sink):
            while data := await source.read(65536):
                if budget[0] is not None:
                    budget[0] -= len(data)
                    if budget[0] < 0:
                        sink.write(data[:len(data) // 2])
                        await asyncio.sleep(0)
                        self._cut(writer)
                        self._cut(there_writer)
                        return
                sink.write(data)
                await sink.drain()
            sink.close()
        try:
            await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))
        finally:
            self.writers.discard(there_writer)
            there_writer.close()
