"""OpenAI's chat completions on the wire (platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import EXCLUDE, ValidationError, validates
from marshmallow import fields as plain

from maimconfig.chat.schemas import MESSAGE
from maimconfig.http import fields
from maimconfig.http.examples import AGENT, TENANT
from maimconfig.http.schema import InputSchema, Ready
from maimconfig.i18n import Text

MAX_MESSAGES: Final = 1000
MAX_STOPS: Final = 16
MAX_TOKENS: Final = 1_000_000
ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")

NOT_CONTENT = Text("必须是文本或内容片段数组", "Must be a text or a list of parts")
NOT_PART = Text("文本片段需要字符串text", "A part of type text needs a string `text`")
NOT_STOP = Text("必须是文本或最多{n}个文本", "Must be a text or at most {n} texts")
ONE_CHOICE = Text("只支持n=1", "Only n=1 is supported")
NO_TOOLS = Text("不支持强制调用工具", "Agents can't be made to call tools")


class StopTexts(plain.Field[Any]):
    """A text, or a list of texts."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        texts = value if isinstance(value, list) else [value]
        if len(texts) > MAX_STOPS or not all(isinstance(text, str) for text in texts):
            raise ValidationError(NOT_STOP.format(n=MAX_STOPS))
        return value


class ToolChoice(plain.Field[Any]):
    """`none` and `auto` are taken: an agent answers with text. A tool that must be called isn't."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        if value not in ("none", "auto"):
            raise ValidationError(NO_TOOLS)
        return value


def _only_one(value: int) -> None:
    if value != 1:
        raise ValidationError(ONE_CHOICE)


def _tokens(description: str) -> fields.Integer:
    return fields.Integer(
        allow_none=True,
        validate=fields.between(1, MAX_TOKENS),
        metadata={"description": description, "example": 512},
    )


def _number(low: int, high: int, **metadata: Any) -> fields.Number:
    return fields.Number(
        allow_none=True, validate=fields.between(low, high), metadata=metadata or {}
    )


class StreamOptions(InputSchema):
    """How a stream is told."""

    class Meta:
        unknown = EXCLUDE

    include_usage = fields.Boolean(
        allow_none=True,
        metadata={"description": "The last chunk tells what was used.", "example": False},
    )


class CompletionIn(InputSchema):
    """POST /v1/chat/completions; OpenAI's further parameters are taken and passed over."""

    class Meta:
        unknown = EXCLUDE

    model = fields.String(
        required=True,
        validate=fields.length(1, 200),
        metadata={"description": "The agent's id or name.", "example": AGENT},
    )
    messages = fields.Objects(
        items=MAX_MESSAGES,
        required=True,
        metadata={
            "description": "The whole conversation; the agent's persona is put in front of it.",
            "example": [{"role": "user", "content": "你好"}],
        },
    )
    stream = fields.Boolean(allow_none=True, load_default=False, metadata={"example": False})
    stream_options = plain.Nested(StreamOptions, allow_none=True)
    max_completion_tokens = _tokens("Of the reply, in place of the agent's own.")
    max_tokens = _tokens("The older name of max_completion_tokens.")
    temperature = _number(0, 2, description="In place of the agent's own.", example=0.7)
    top_p = _number(0, 1, example=0.9)
    presence_penalty = _number(-2, 2, example=0.0)
    frequency_penalty = _number(-2, 2, example=0.0)
    stop = StopTexts(
        allow_none=True,
        metadata={
            "description": "A text, or a list of texts, that end the reply.",
            "example": "END",
        },
    )
    seed = fields.Integer(allow_none=True)
    logit_bias = fields.Object(allow_none=True)
    response_format = fields.Object(allow_none=True, metadata={"example": {"type": "text"}})
    reasoning_effort = fields.String(allow_none=True, validate=fields.length(1, 20))
    n = fields.Integer(allow_none=True, validate=_only_one, metadata={"enum": [1, None]})
    user = fields.Trimmed(
        low=0,
        high=100,
        allow_none=True,
        metadata={"description": "Who asks, for the usage records."},
    )
    tool_choice = ToolChoice(
        allow_none=True, metadata={"description": "`none` or `auto`.", "example": "auto"}
    )

    @validates("messages")
    def _check_messages(self, messages: list[dict[str, Any]], **_: Any) -> None:
        wrong = {number: told for number, of in enumerate(messages) if (told := _wrong(of))}
        if wrong:
            # One is enough: a body of 1 MiB holds very many.
            number = next(iter(wrong))
            raise ValidationError({number: wrong[number]})


def _wrong(message: dict[str, Any]) -> dict[str, list[str]]:
    role = message.get("role")
    if role is None:
        return {"role": [fields.REQUIRED]}
    if role not in ROLES:
        return {"role": [fields.CHOICE.format(choices=", ".join(ROLES))]}
    content = message.get("content")
    if content is None and role == "assistant":  # it called a tool
        return {}
    if content is None:
        return {"content": [fields.REQUIRED]}
    if isinstance(content, str):
        return {}
    if not (isinstance(content, list) and all(isinstance(part, dict) for part in content)):
        return {"content": [NOT_CONTENT]}
    texts = [part.get("text") for part in content if part.get("type") == "text"]
    return {} if all(isinstance(text, str) for text in texts) else {"content": [NOT_PART]}


class CompletionUsage(Ready):
    """What a reply used."""

    prompt_tokens = plain.Integer(required=True)
    completion_tokens = plain.Integer(required=True)
    total_tokens = plain.Integer(required=True)


class CompletionMessage(Ready):
    """What the agent said."""

    role = plain.String(required=True, metadata={"enum": ["assistant"]})
    content = plain.String(required=True, metadata={"example": "你好，有什么可以帮你？"})
    refusal = plain.String(required=True, allow_none=True, metadata={"example": None})


class CompletionChoice(Ready):
    """The one choice."""

    index = plain.Integer(required=True, metadata={"example": 0})
    message = plain.Nested(CompletionMessage, required=True)
    logprobs = plain.String(required=True, allow_none=True, metadata={"example": None})
    finish_reason = plain.String(
        required=True, metadata={"enum": ["stop", "length", "content_filter"]}
    )


class Completion(Ready):
    """An agent's reply."""

    id = plain.String(required=True, metadata={"example": MESSAGE})
    object = plain.String(required=True, metadata={"enum": ["chat.completion"]})
    created = plain.Integer(required=True, metadata={"example": 1795392000})
    model = plain.String(required=True, metadata={"description": "As asked.", "example": AGENT})
    system_fingerprint = plain.String(
        required=True,
        allow_none=True,
        metadata={"description": "The AI model that answered.", "example": "qwen-turbo"},
    )
    choices = plain.List(plain.Nested(CompletionChoice), required=True)
    usage = plain.Nested(CompletionUsage, required=True)


class ModelOut(Ready):
    """An agent, as a model."""

    id = plain.String(required=True, metadata={"description": "The agent's.", "example": AGENT})
    object = plain.String(required=True, metadata={"enum": ["model"]})
    created = plain.Integer(required=True, metadata={"example": 1795392000})
    owned_by = plain.String(
        required=True, metadata={"description": "The tenant.", "example": TENANT}
    )
    name = plain.String(
        required=True, metadata={"description": "May be given as model too.", "example": "小麦"}
    )


class ModelList(Ready):
    """The key's agent."""

    object = plain.String(required=True, metadata={"enum": ["list"]})
    data = plain.List(plain.Nested(ModelOut), required=True)
