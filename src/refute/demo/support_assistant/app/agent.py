"""The agent: asks the model, runs the tools it calls, and gives up gracefully when the model is away."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass, field

import openai

from app import rag, tools

log = logging.getLogger(__name__)

MAX_ROUNDS = 6
TOOL_ATTEMPTS = 3
ORDER_ID = re.compile(r"\bFH-\d{5}\b", re.IGNORECASE)
CITATION = re.compile(r"\[([a-z0-9-]+)\]")

SYSTEM_PROMPT = """\
You are the support assistant of Fernhill Outdoors, an online shop for outdoor equipment.
Answer only from the results of your tools. After each statement that comes from an article, cite the article's id like [returns-window].
Look an order up before you say anything about it. Refund an order only when the customer asks for it and it was delivered.
If the tools do not give an answer, say so."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search_help",
            "description": "Search the help centre. Returns the articles that fit best.",
            "parameters": {
                "type": "object",
                "properties": {"query": {"type": "string", "description": "What to look for, in the customer's words"}},
                "required": ["query"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "lookup_order",
            "description": "Look up an order by its number, such as FH-10234.",
            "parameters": {
                "type": "object",
                "properties": {"order_id": {"type": "string"}},
                "required": ["order_id"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "create_refund",
            "description": "Refund an order that was delivered, in full or in part.",
            "parameters": {
                "type": "object",
                "properties": {
                    "order_id": {"type": "string"},
                    "amount": {"type": "number", "description": "In EUR; the whole order if left out"},
                    "reason": {"type": "string"},
                },
                "required": ["order_id", "reason"],
            },
        },
    },
]


@dataclass
class ToolCall:
    id: str = ""
    name: str = ""
    arguments: str = ""

    def as_message(self) -> dict:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass
class Reply:
    """One answer of the model, put together from its stream."""

    text: str = ""
    calls: dict[int, ToolCall] = field(default_factory=dict)
    tokens: int = 0


@dataclass
class Answer:
    text: str
    order_id: str | None
    citations: list[str]
    tools: list[str]
    fallback: bool
    tokens: int
    conversation_id: str


class Agent:
    """Answers one question at a time; any number of them concurrently."""

    def __init__(self, client: openai.AsyncOpenAI, model: str) -> None:
        self._client = client
        self._model = model

    async def answer(self, question: str, conversation_id: str) -> Answer:
        messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": question}]
        used: list[str] = []
        tokens = 0
        fallback = False
        try:
            for _ in range(MAX_ROUNDS):
                reply = await self._complete(messages)
                tokens += reply.tokens
                if not reply.calls:
                    break
                calls = list(reply.calls.values())
                used += [call.name for call in calls]
                messages.append({"role": "assistant", "content": reply.text or None, "tool_calls": [c.as_message() for c in calls]})
                messages += await asyncio.gather(*(_run(call, conversation_id) for call in calls))
            text = reply.text
        except openai.APIError as error:
            log.warning("answering without the model: %s", error)
            text = await _answer_without_model(question)
            fallback = True
        return Answer(
            text=text,
            order_id=_order_id(question),
            citations=list(dict.fromkeys(CITATION.findall(text))),
            tools=used,
            fallback=fallback,
            tokens=tokens,
            conversation_id=conversation_id,
        )

    async def _complete(self, messages: list[dict]) -> Reply:
        stream = await self._client.chat.completions.create(
            model=self._model,
            messages=messages,
            tools=TOOLS,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        reply = Reply()
        async for chunk in stream:
            if chunk.usage:
                reply.tokens = chunk.usage.total_tokens
            for choice in chunk.choices:
                reply.text += choice.delta.content or ""
                for part in choice.delta.tool_calls or []:
                    call = reply.calls.setdefault(part.index, ToolCall())
                    call.id = part.id or call.id
                    call.name += part.function.name or ""
                    call.arguments += part.function.arguments or ""
        return reply


async def _run(call: ToolCall, conversation_id: str) -> dict:
    """Run one tool call and return the message that answers it."""
    try:
        arguments = json.loads(call.arguments)
    except json.JSONDecodeError:
        log.warning("%s called with arguments that are not JSON: %r", call.name, call.arguments)
        arguments = {}
    try:
        result = await _with_retries(call.name, arguments, conversation_id)
    except Exception as error:
        log.warning("%s failed: %s", call.name, error)
        result = {"error": str(error)}
    return {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}


async def _with_retries(name: str, arguments: dict, conversation_id: str) -> dict:
    """Call a tool, and again if it failed: the database is busy at times."""
    for attempt in range(1, TOOL_ATTEMPTS + 1):
        try:
            return await asyncio.to_thread(_call, name, arguments, conversation_id)
        except (tools.OrderNotFoundError, tools.RefundRefusedError):
            raise
        except Exception:
            if attempt == TOOL_ATTEMPTS:
                raise
            await asyncio.sleep(0.1 * attempt)
    raise AssertionError("unreachable")


def _call(name: str, arguments: dict, conversation_id: str) -> dict:
    match name:
        case "search_help":
            return {"results": _search(arguments.get("query", ""))}
        case "lookup_order":
            return tools.lookup_order(arguments.get("order_id", ""))
        case "create_refund":
            return tools.create_refund(
                arguments.get("order_id", ""),
                amount=arguments.get("amount"),
                reason=arguments.get("reason", ""),
                conversation_id=conversation_id,
            )
    return {"error": f"there is no tool {name!r}"}


def _search(query: str, k: int = 3) -> list[dict]:
    try:
        return rag.search(query, k=k)
    except Exception as error:
        log.warning("searching by keyword: %s", error)
        return rag.keyword_search(query, k=k)


async def _answer_without_model(question: str) -> str:
    """The order's record and the article that fits best, as they are."""
    parts = []
    if order_id := _order_id(question):
        parts.append(await asyncio.to_thread(_describe_order, order_id))
    for article in await asyncio.to_thread(_search, ORDER_ID.sub("", question), 1):
        parts.append(f"{article['text']} [{article['id']}]")
    return "\n\n".join(parts)


def _describe_order(order_id: str) -> str:
    try:
        order = tools.lookup_order(order_id)
    except Exception as error:
        log.warning("lookup_order failed: %s", error)
        return f"We could not look up order {order_id} at the moment."
    facts = [f"{key.replace('_', ' ')} {value}" for key, value in order.items() if key not in ("order_id", "total_eur")]
    return f"Order {order['order_id']}: {', '.join(facts)}, total {order['total_eur']:.2f} EUR."


def _order_id(question: str) -> str | None:
    found = ORDER_ID.search(question)
    return found.group().upper() if found else None
