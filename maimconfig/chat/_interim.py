from __future__ import annotations

from maimconfig.providers.types import *


class Reply:
    def __init__(self, ask):
        self.text = ask.offline()
        self.parts = (
            [self.text[i : i + 5] for i in range(0, len(self.text), 5)] if ask.stream else []
        )
        self.said = ""
        self.aborted = False
        self.ask = ask

    def _outcome(self):
        return Outcome(
            self.said if self.aborted else self.text,
            None,
            None if self.aborted else "stop",
            estimate(self.ask.messages),
            len(self.text),
            True,
            None,
            None,
            self.aborted,
            (),
            0,
            1,
        )

    def next(self, timeout):
        if self.parts and not self.aborted:
            p = self.parts.pop(0)
            self.said += p
            return Delta(p)
        return self._outcome()

    def cancel(self):
        if self.parts:
            self.aborted = True

    def wait(self):
        return self._outcome()


def estimate(messages):
    return sum(len(str(m["content"])) for m in messages)


class Providers:
    def start(self, targets, ask):
        return Reply(ask)

    def targets(self, tenant_id, config, task):
        return ()

    def estimate(self, messages):
        return estimate(messages)

    def close(self):
        pass
