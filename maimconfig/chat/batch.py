"""Many chats in one request, made side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from maimconfig import tracing
from maimconfig.chat import service
from maimconfig.chat.running import RunningReply
from maimconfig.chat.schemas import ChatMessageIn
from maimconfig.chat.shown import shown
from maimconfig.http.errors import AppError, InternalError
from maimconfig.http.parsing import loaded
from maimconfig.i18n import Locale, localized

if TYPE_CHECKING:
    from maimconfig.runtime import Runtime

log = structlog.get_logger(__name__)

SIDE_BY_SIDE = 8
_BODY = ChatMessageIn()


@dataclass(frozen=True, slots=True)
class Batch:
    """What the chats of a batch share.

    Attributes:
        api_key: for those that bring none of their own.
        address: of the caller.
        trusted: whether naming an agent is enough.
        locale: of the errors.
    """

    runtime: Runtime
    api_key: str | None
    address: str
    trusted: bool
    request_id: str | None
    locale: Locale

    def run(self, requests: Sequence[Mapping[str, Any]], side_by_side: int) -> dict[str, Any]:
        """Make all chats; their results are in the order of the requests.

        Args:
            requests: bodies as POST /chat takes them, not yet checked.
            side_by_side: how many are made at once.
        """
        with ThreadPoolExecutor(
            side_by_side,
            thread_name_prefix="batch",
            initializer=tracing.carry_on,
            initargs=(tracing.current(),),
        ) as pool:
            results = list(pool.map(self._result, range(len(requests)), requests))
        good = sum(result["success"] for result in results)
        summary = {"total": len(results), "success": good, "failed": len(results) - good}
        return {"results": results, "summary": summary}

    def _result(self, index: int, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"index": index, "success": True, "data": self._answer(body)}
        except AppError as error:
            failure = error
        except Exception:
            # The outermost edge of one chat: it must not fail the others.
            log.exception("batch.failed", request_id=self.request_id, index=index)
            failure = InternalError()
        reason = localized(failure.reason, self.locale)
        return {"index": index, "success": False, "error": reason, "error_code": failure.code}

    def _answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        payload = loaded(_BODY, {**body, "stream": False})
        api_key = payload.get("api_key") or self.api_key
        caller = service.identify(
            self.runtime, payload, api_key, address=self.address, trusted=self.trusted
        )
        begun = service.ask(self.runtime, caller, service.asked_of(payload, self.request_id))
        if isinstance(begun, RunningReply):
            return shown(begun.wanted, begun.wait())
        return shown(*begun)
