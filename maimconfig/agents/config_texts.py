"""What is told of a wrong value in an agent's configuration, in Chinese and English."""

from __future__ import annotations

from typing import Final

from maimconfig.i18n import Text

REQUIRED: Final = Text("必填", "Required")
NOT_STRING: Final = Text("必须是字符串", "Must be a string")
NOT_INTEGER: Final = Text("必须是整数", "Must be an integer")
NOT_NUMBER: Final = Text("必须是数字", "Must be a number")
NOT_BOOLEAN: Final = Text("必须是布尔值", "Must be true or false")
NOT_OBJECT: Final = Text("必须是对象", "Must be an object")
NOT_ARRAY: Final = Text("必须是数组", "Must be an array")
NOT_STRING_OR_OBJECT: Final = Text("必须是字符串或对象", "Must be a string or an object")
TOO_LARGE: Final = Text("数值过大", "The number is too large")
UNKNOWN_TASK: Final = Text("未知的任务名", "Unknown task")
NAME_REPEATED: Final = Text("名称重复", "The name is there twice")
SYSTEM_PROVIDER: Final = Text(
    "自定义模型不能使用系统服务商", "A custom model must not use a system provider"
)

NOT_DIGITS: Final = Text("只能由数字组成", "Must be digits only")
NOT_URL: Final = Text("必须是 http 或 https 地址", "Must be an http or https URL")
NOT_STREAM: Final = Text("必须是“平台:编号:类型”", "Must be platform:id:type")
NOT_PERIOD: Final = Text(
    "必须是 HH:MM-HH:MM 形式的时间段", "Must be a time of day such as HH:MM-HH:MM"
)

BETWEEN: Final = Text("必须在 {low} 到 {high} 之间", "Must be between {low} and {high}")
LENGTH: Final = Text(
    "长度必须在 {low} 到 {high} 个字符之间", "Length must be between {low} and {high} characters"
)
MORE_THAN: Final = Text("必须大于 {bound}", "Must be greater than {bound}")
AT_LEAST: Final = Text("不能小于 {bound}", "Must not be less than {bound}")
AT_MOST_ITEMS: Final = Text("最多 {bound} 项", "At most {bound} items")

PATTERN_UNUSABLE: Final = Text(
    "正则表达式无法编译：{reason}", "The regular expression doesn't compile: {reason}"
)
TOO_MANY_PATTERNS: Final = Text(
    "正则表达式最多 {patterns} 个，共 {characters} 个字符",
    "At most {patterns} regular expressions, of {characters} characters in all",
)


def one_of(choices: tuple[str, ...]) -> Text:
    """That a value must be one of some."""
    return Text(f"必须是以下之一：{'、'.join(choices)}", f"Must be one of: {', '.join(choices)}")
