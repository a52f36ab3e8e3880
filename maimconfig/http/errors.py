"""The tree of errors: what can go wrong, as services raise it and callers read it.

    AppError
    ├── BadRequest                     400  BAD_REQUEST
    │   └── KeyFormatInvalid           400  AUTH_001
    ├── Unauthenticated
    │   ├── KeyUnknown                 401  AUTH_005
    │   ├── KeyDisabledRefused         401  AUTH_004
    │   ├── KeyExpired                 401  AUTH_002
    │   ├── TokenInvalid               401  AUTH_006
    │   ├── GuestsNotAllowed           401  AUTH_006
    │   └── LoginFailed                401  AUTH_007
    ├── Forbidden
    │   ├── KeyForbidden               403  AUTH_003
    │   ├── RoleForbidden              403  AUTH_008
    │   ├── AddressNotAllowed          403  AUTH_009
    │   ├── TenantNotActive            403  TENANT_003
    │   ├── TenantQuotaExceeded        403  TENANT_005
    │   ├── AgentNotActive             403  AGENT_005
    │   ├── KeyDisabled                403  KEY_003
    │   ├── KeyQuotaExceeded           403  KEY_004
    │   ├── ActivityForbidden          403  ACTIVITY_002
    │   └── TemplateReadOnly           403  TEMPLATE_001
    ├── NotFound                       404  NOT_FOUND
    │   ├── TenantNotFound             404  TENANT_001
    │   ├── AgentNotFound              404  AGENT_001
    │   ├── TemplateNotFound           404  AGENT_003
    │   ├── KeyNotFound                404  KEY_001
    │   ├── VersionNotFound            404  AGENT_001
    │   ├── UserNotFound               404  USER_001
    │   ├── PluginSettingNotFound      404  NOT_FOUND
    │   ├── WebhookNotFound            404  WEBHOOK_001
    │   ├── DeliveryNotFound           404  WEBHOOK_002
    │   ├── ChatSessionNotFound        404  CHAT_001
    │   ├── ConversationNotFound       404  CHAT_001
    │   ├── ChatMessageNotFound        404  NOT_FOUND
    │   ├── ContactNotFound            404  NOT_FOUND
    │   └── ActivityUnknown            404  ACTIVITY_002
    ├── Conflict
    │   ├── TenantNameTaken            409  TENANT_002
    │   ├── AgentNameTaken             409  AGENT_002
    │   ├── KeyNameTaken               409  KEY_002
    │   ├── TemplateNameTaken          409  TEMPLATE_002
    │   ├── TemplateInUse              409  TEMPLATE_003
    │   ├── UserTaken                  409  USER_002
    │   ├── LastAdmin                  409  USER_003
    │   ├── WebhookInactive            409  WEBHOOK_003
    │   ├── ContactTaken               409  CONTACT_001
    │   ├── StillAnswering             409  CHAT_005
    │   ├── TransitionForbidden        409  CHAT_005
    │   ├── ConversationTaken          409  CHAT_005
    │   ├── SessionClosed              409  CHAT_005
    │   └── TooManySessions            409  CHAT_006
    ├── MethodNotAllowed               405  METHOD_NOT_ALLOWED
    ├── PreconditionFailed             412  PRECONDITION_001
    ├── PayloadTooLarge                413  PAYLOAD_TOO_LARGE
    ├── UnsupportedMedia               415  UNSUPPORTED_MEDIA_TYPE
    ├── Invalid                        422  VALIDATION_ERROR
    │   ├── TenantTypeUnsupported      422  TENANT_004
    │   ├── AgentConfigInvalid         422  AGENT_004
    │   ├── PermissionsInvalid         422  KEY_005
    │   ├── MessageDropped             422  CHAT_002
    │   └── IdempotencyKeyReused       422  IDEMPOTENCY_001
    ├── RateLimited                    429  RATE_001
    │   └── QuotaExceeded              429  QUOTA_001
    ├── InternalError                  500  SYS_001
    ├── NoProviderAnswered             502  CHAT_003
    ├── DatabaseUnavailable            503  SYS_002
    ├── Busy                           503  SYS_005
    └── ReplyTooSlow                   504  CHAT_004

Raise means roll back. `text` is what people read, `reason` what exactly was wrong (both go to
the caller), `internal` goes to the log alone. This module knows no HTTP library, so that
services, the command line and the gateway raise the same errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from maimconfig.i18n import Text

Details = Mapping[str, Sequence[str]]

RETRY_SECONDS = "2"  # after what passes by itself


class AppError(Exception):
    """An answer that isn't a success.

    Attributes:
        code: the error_code of the contract's error-codes.csv.
        status: the HTTP status.
        text: the short message in both languages.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    text: ClassVar[Text]

    def __init__(
        self,
        reason: str | None = None,
        *,
        details: Details | None = None,
        headers: Mapping[str, str] | None = None,
        internal: str | None = None,
    ) -> None:
        """Describe the case.

        Args:
            reason: what exactly was wrong, for the caller; the class's text when None.
            details: field path -> messages, for validation.
            headers: of the answer, such as Retry-After.
            internal: for the log alone.
        """
        told = reason.en if isinstance(reason, Text) else reason
        super().__init__(internal or told or self.text.en)  # for the log and the command line
        self.reason = reason or self.text
        self.details = details
        self.headers = dict(headers or {})
        self.internal = internal


class BadRequest(AppError):
    code, status, text = "BAD_REQUEST", 400, Text("请求格式错误", "Malformed request")


class KeyFormatInvalid(BadRequest):
    code, text = "AUTH_001", Text("API密钥格式无效", "API key format invalid")


class Unauthenticated(AppError):
    code, status, text = "AUTH_006", 401, Text("未认证", "Not authenticated")

    def __init__(self, reason: str | None = None, **kwargs: Any) -> None:
        super().__init__(reason, headers={"WWW-Authenticate": "Bearer"}, **kwargs)


class TokenInvalid(Unauthenticated):
    text = Text("令牌缺失、无效或已过期", "Token missing, invalid or expired")


class GuestsNotAllowed(Unauthenticated):
    text = Text("此处不接待访客，请登录或使用API密钥", "No guests here: log in, or use an API key")


class LoginFailed(Unauthenticated):
    code, text = "AUTH_007", Text("用户名或密码错误", "Wrong username or password")


class KeyUnknown(Unauthenticated):
    code, text = "AUTH_005", Text("API密钥不存在", "API key unknown")


class KeyDisabledRefused(Unauthenticated):
    code, text = "AUTH_004", Text("API密钥已禁用", "API key disabled")


class KeyExpired(Unauthenticated):
    code, text = "AUTH_002", Text("API密钥已过期", "API key expired")


class Forbidden(AppError):
    code, status, text = "FORBIDDEN", 403, Text("不允许", "Not allowed")


class KeyForbidden(Forbidden):
    code, text = "AUTH_003", Text("API密钥没有此权限", "API key lacks the permission")


class RoleForbidden(Forbidden):
    code, text = "AUTH_008", Text("角色没有此权限", "Role lacks the permission")

    def __init__(self, permission: str, **kwargs: Any) -> None:
        needed = Text("需要权限 {}", "This takes the permission {}").format(permission)
        super().__init__(needed, **kwargs)


class AddressNotAllowed(Forbidden):
    code = "AUTH_009"
    text = Text("来源地址不在允许列表中", "Caller's address is not in allowed_ips")


class TenantNotActive(Forbidden):
    code, text = "TENANT_003", Text("租户未激活", "Tenant not active")


class TenantQuotaExceeded(Forbidden):
    code, text = "TENANT_005", Text("超出租户配额", "Tenant quota exceeded")


class AgentNotActive(Forbidden):
    code, text = "AGENT_005", Text("Agent状态不允许此操作", "Agent status does not allow this")


class KeyDisabled(Forbidden):
    code, text = "KEY_003", Text("API密钥已禁用", "API key disabled")


class KeyQuotaExceeded(Forbidden):
    code, text = "KEY_004", Text("超出API密钥配额", "API key quota exceeded")


class ActivityForbidden(Forbidden):
    code, text = "ACTIVITY_002", Text("租户或Agent未激活", "Tenant or agent not active")


class TemplateReadOnly(Forbidden):
    code = "TEMPLATE_001"
    text = Text("内置模板不可修改", "Built-in templates can't be changed")


class NotFound(AppError):
    code, status, text = "NOT_FOUND", 404, Text("资源不存在", "Not found")


class TenantNotFound(NotFound):
    code, text = "TENANT_001", Text("租户不存在", "Tenant unknown")


class AgentNotFound(NotFound):
    code, text = "AGENT_001", Text("Agent不存在", "Agent unknown")


class VersionNotFound(AgentNotFound):
    text = Text("配置版本不存在", "Configuration version unknown")


class TemplateNotFound(NotFound):
    code, text = "AGENT_003", Text("Agent模板不存在", "Agent template unknown")


class KeyNotFound(NotFound):
    code, text = "KEY_001", Text("API密钥不存在", "API key id unknown")


class UserNotFound(NotFound):
    code, text = "USER_001", Text("用户不存在", "User unknown")


class PluginSettingNotFound(NotFound):
    text = Text("插件配置不存在", "Plugin setting unknown")


class WebhookNotFound(NotFound):
    code, text = "WEBHOOK_001", Text("Webhook不存在", "Webhook unknown")


class DeliveryNotFound(NotFound):
    code, text = "WEBHOOK_002", Text("投递记录不存在", "Delivery unknown")


class ChatSessionNotFound(NotFound):
    code, text = "CHAT_001", Text("会话不存在", "Session unknown")


class ConversationNotFound(NotFound):
    code, text = "CHAT_001", Text("对话不存在", "Conversation unknown")


class ChatMessageNotFound(NotFound):
    text = Text("消息不存在", "Message unknown")


class ContactNotFound(NotFound):
    text = Text("联系人不存在", "Contact unknown")


class ActivityUnknown(NotFound):
    code, text = "ACTIVITY_002", Text("租户或Agent不存在", "Tenant or agent unknown")


class Conflict(AppError):
    code, status, text = "CONFLICT", 409, Text("冲突", "Conflict")


class TenantNameTaken(Conflict):
    code, text = "TENANT_002", Text("租户名称已存在", "Tenant name taken")


class AgentNameTaken(Conflict):
    code, text = "AGENT_002", Text("Agent名称已存在", "Agent name taken in the tenant")


class KeyNameTaken(Conflict):
    code, text = "KEY_002", Text("API密钥名称已存在", "API key name taken in the tenant")


class TemplateNameTaken(Conflict):
    code, text = "TEMPLATE_002", Text("模板名称已存在", "Template name taken")


class TemplateInUse(Conflict):
    code, text = "TEMPLATE_003", Text("模板正被Agent使用", "Template is used by agents")


class MethodNotAllowed(AppError):
    code, status, text = "METHOD_NOT_ALLOWED", 405, Text("不支持的方法", "Method not allowed")


class UserTaken(Conflict):
    code, text = "USER_002", Text("用户名或邮箱已被使用", "Username or email taken")


class LastAdmin(Conflict):
    code, text = "USER_003", Text("必须保留最后一个管理员", "The last admin must stay")


class ContactTaken(Conflict):
    code = "CONTACT_001"
    text = Text("此外部ID的联系人已存在", "A contact of this external id is there already")


class WebhookInactive(Conflict):
    code, text = "WEBHOOK_003", Text("Webhook已停用", "Webhook is switched off")


class StillAnswering(Conflict):
    code, text = "CHAT_005", Text("这条消息正在回复中", "This message is being answered")

    def __init__(self, reason: str | None = None, **kwargs: Any) -> None:
        super().__init__(reason, headers={"Retry-After": RETRY_SECONDS}, **kwargs)


class TransitionForbidden(Conflict):
    code, text = "CHAT_005", Text("不允许这样更改对话状态", "The status can't change so")


class ConversationTaken(Conflict):
    """Somebody else has it; `details` say who, by `assignee_id` and `assignee`."""

    code, text = "CHAT_005", Text("此对话已有人接手", "Somebody else has this conversation")


class SessionClosed(Conflict):
    code = "CHAT_005"
    text = Text("会话已结束，请新建会话", "The session has ended; begin a new one")


class TooManySessions(Conflict):
    code, text = "CHAT_006", Text("此用户打开的会话过多", "Too many open sessions of this user")


class PreconditionFailed(AppError):
    code, status = "PRECONDITION_001", 412
    text = Text("资源已被他人修改", "If-Match does not match")


class PayloadTooLarge(AppError):
    code, status, text = "PAYLOAD_TOO_LARGE", 413, Text("请求体过大", "Body too large")


class UnsupportedMedia(AppError):
    code, status = "UNSUPPORTED_MEDIA_TYPE", 415
    text = Text("请求体必须是application/json", "The body must be application/json")


class Invalid(AppError):
    code, status, text = "VALIDATION_ERROR", 422, Text("参数验证失败", "Validation failed")

    def __init__(
        self, reason: str | None = None, *, details: Details | None = None, **kwargs: Any
    ) -> None:
        if reason is None and details:
            path, messages = next(iter(details.items()))
            message = messages[0]
            english = message.en if isinstance(message, Text) else message
            reason = Text(f"{path}：{message}", f"{path}: {english}")
        super().__init__(reason, details=details, **kwargs)


class TenantTypeUnsupported(Invalid):
    code, text = "TENANT_004", Text("不支持的租户类型", "Tenant type not supported")


class AgentConfigInvalid(Invalid):
    code, text = "AGENT_004", Text("Agent配置无效", "Agent configuration invalid")


class PermissionsInvalid(Invalid):
    code, text = "KEY_005", Text("API密钥权限无效", "API key permissions invalid")


class MessageDropped(Invalid):
    code, text = "CHAT_002", Text("消息被内容过滤拒绝", "Message refused by the content filter")


class IdempotencyKeyReused(Invalid):
    code = "IDEMPOTENCY_001"
    text = Text("幂等键已用于不同的请求", "Idempotency-Key used before with another body")


class RateLimited(AppError):
    code, status, text = "RATE_001", 429, Text("请求过于频繁", "Rate limit exceeded")

    def __init__(self, reason: str | None = None, *, retry_after: int, **kwargs: Any) -> None:
        headers = {"Retry-After": str(retry_after), **kwargs.pop("headers", {})}
        super().__init__(reason, headers=headers, **kwargs)


class QuotaExceeded(RateLimited):
    """
    Attributes:
        quota: which one, such as tokens_per_month.
        is_news: nobody has been told of it yet.
    """

    code, text = "QUOTA_001", Text("本期配额已用完", "Quota of the period used up")

    def __init__(self, reason: str | None = None, *, quota: str, is_news: bool, **kwargs: Any):
        super().__init__(reason, **kwargs)
        self.quota = quota
        self.is_news = is_news


class NotModified(Exception):
    """The caller has this version already: 304."""


class InternalError(AppError):
    code, status, text = "SYS_001", 500, Text("系统内部错误", "Internal error")


class DatabaseUnavailable(AppError):
    code, status, text = "SYS_002", 503, Text("数据库暂时不可用", "Database unreachable")

    def __init__(self, reason: str | None = None, *, internal: str | None = None) -> None:
        super().__init__(reason, headers={"Retry-After": RETRY_SECONDS}, internal=internal)


class Busy(AppError):
    code, status, text = "SYS_005", 503, Text("服务繁忙，请稍后再试", "Too busy, try again later")

    def __init__(self, reason: str | None = None, *, internal: str | None = None) -> None:
        super().__init__(reason, headers={"Retry-After": RETRY_SECONDS}, internal=internal)


class NoProviderAnswered(AppError):
    code, status, text = "CHAT_003", 502, Text("没有AI服务商响应", "No provider answered")


class ReplyTooSlow(AppError):
    code, status, text = "CHAT_004", 504, Text("回复超时", "The reply took too long")
