"""A chat-completions server that answers what a test tells it to, and misbehaves on purpose."""

import asyncio
import json
import threading

from pydantic import BaseModel


class Verdict(BaseModel):
    """What a reply must be in the client's tests."""

    score: int


class Server:
    """`answer(number, body)` gives what the number-th request gets: a text, `(status, headers, body)`, "hang", "half" or "close"."""

    def __init__(self, answer):
        self.answer, self.bodies, self.heads, self.in_flight, self.most = answer, [], [], 0, 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        server = self._loop.run_until_complete(asyncio.start_server(self._handle, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _handle(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                body = json.loads(await reader.readexactly(length))
                self.bodies.append(body)
                self.heads.append(head.decode())
                self.in_flight += 1
                self.most = max(self.most, self.in_flight)
                try:
                    found = self.answer(len(self.bodies), body)
                    if asyncio.iscoroutine(found):
                        found = await found
                finally:
                    self.in_flight -= 1
                if found == "hang":
                    await asyncio.sleep(3600)
                if found == "close":
                    break
                status, headers, content = found if isinstance(found, tuple) else (200, {}, completion(found))
                if content == "half":
                    writer.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"choices": [')
                    await writer.drain()
                    break
                raw = content.encode()
                lines = {"content-type": "application/json", "content-length": len(raw), **headers}
                writer.write(
                    f"HTTP/1.1 {status} X\r\n".encode()
                    + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode()
                    + b"\r\n"
                    + raw
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def completion(text, *, finish="stop", tokens=(10, 5)):
    """The body of a reply."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage})


def said(message, *, finish="stop"):
    """A reply whose message is what a test says."""
    body = json.loads(completion("", finish=finish))
    body["choices"][0]["message"] = {"role": "assistant", **message}
    return 200, {}, json.dumps(body)


class Dialect:
    """Answers as a server that refuses or ignores some of what it is sent.

    Args:
        refuses: by the name of what was sent, status and body of the refusal; the first that was sent is refused.
        ignores: what it replies where response_format is sent, if it takes no notice of it.
        reply: what it replies otherwise.
    """

    def __init__(self, refuses=(), *, ignores=None, reply='{"score": 2}'):
        self.refuses, self.ignores, self.reply, self.refused = dict(refuses), ignores, reply, []

    def __call__(self, number, body):
        for name, (status, text) in self.refuses.items():
            if name in body or (name == "system" and any(message["role"] == "system" for message in body["messages"])):
                self.refused.append(name)
                return status, {}, text if isinstance(text, str) else json.dumps(text)
        if self.ignores is not None and "response_format" in body:
            return self.ignores
        return self.reply
