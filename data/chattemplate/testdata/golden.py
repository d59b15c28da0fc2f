"""Writes golden.json.gz: what transformers' apply_chat_template makes of conversations with the templates of
templates/, where those come from being said in NOTICE. Today is 26 July 2024.

    python golden.py        (transformers 5.24.0, jinja2 3.1.6)
"""

import datetime
import gzip
import json
import pathlib

import jinja2
import transformers
from transformers.utils import chat_template_utils


class Then(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Then

special = {"bos_token": "<bos>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
tool = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'Weather in a town, "now" <b>&é 天',
        "parameters": {
            "type": "object",
            "properties": {
                "town": {"type": "string", "description": "name"},
                "days": {"type": "integer", "default": 3},
                "exact": {"type": "number", "default": 1.5, "maximum": 1e20, "minimum": -0.00001},
            },
            "required": ["town"],
            "zeta": None,
            "alpha": [True, False, []],
            "empty": {},
        },
    },
}


def call(name):
    arguments = {"town": "Köln", "days": 2, "b": [1, 2.0, "x"], "a": None}
    return {"id": name, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def says(role):
    return lambda content, **more: {"role": role, "content": content, **more}


system, user, assistant = says("system"), says("user"), says("assistant")


def result(content, name="abcdefghi"):
    return says("tool")(content, name="get_weather", tool_call_id=name)


conversations = {
    "plain": ([user("Hi"), assistant("Hello!")], None),
    "prompt": ([user("Hi")], None),
    "system": ([system("Be brief."), user("Hi"), assistant("Hello!"), user("Bye"), assistant("Bye!")], None),
    "white space": (
        [system("  \n x \t"), user("\n\n  two  spaces\r\nline\u00a0\u2003end \n"), assistant(" \n answer \n\n"), user("\t"), assistant("")],
        None,
    ),
    "unicode": (
        [user("日本語 — naïve 👩‍👩‍👧 \u202e <b>&\"'\\ {{ x }} {% y %}"), assistant("ответ’ “ok” \U0001f600")],
        None,
    ),
    "tools": (
        [
            system("Use tools."),
            user("Weather in Köln?"),
            assistant("", tool_calls=[call("abcdefghi")]),
            result('{"t": 3}'),
            assistant("3 degrees."),
            user("Thanks"),
            assistant("Welcome"),
        ],
        [tool],
    ),
    "two calls": (
        [
            user("Weather?"),
            assistant("Let me see.", tool_calls=[call("abcdefghi"), call("abcdefgh2")]),
            result("1"),
            result("2", "abcdefgh2"),
            assistant("done"),
        ],
        [tool, tool],
    ),
    "tools that nobody calls": ([user("Hi"), assistant("Hello")], [tool]),
    "thoughts": (
        [user("2+2?"), assistant("<think>\neasy\n</think>\n\n4"), user("3+3?"), assistant("<think>\nhm\n</think>\n\n6")],
        None,
    ),
    "reasoning": (
        [
            user("2+2?"),
            assistant("4", reasoning_content="easy"),
            user("3+3?"),
            assistant("6", reasoning_content="\nhm\n"),
        ],
        None,
    ),
    "assistant first": ([assistant("Hello"), user("Hi")], None),
    "two of a role": ([user("a"), user("b"), assistant("c"), assistant("d")], None),
    "unknown role": ([{"role": "narrator", "content": "x"}, user("a"), assistant("c")], None),
    "many turns": ([system("s")] + [m for i in range(4) for m in (user(f"q{i}"), assistant(f"a{i}"))], None),
}

cases = []
for path in sorted(pathlib.Path(__file__).parent.glob("templates/*.jinja")):
    for name, (messages, tools) in conversations.items():
        for prompt in False, True:
            case = {"template": path.stem, "conversation": name, "prompt": prompt}
            try:
                texts, spans = chat_template_utils.render_jinja_template(
                    [messages],
                    tools=tools,
                    chat_template=path.read_text(),
                    add_generation_prompt=prompt,
                    return_assistant_tokens_mask=True,
                    **special,
                )
                text = texts[0]
                case["text"] = text
                case["generated"] = [[len(text[:at].encode()) for at in span] for span in spans[0]]
            except jinja2.exceptions.TemplateRuntimeError as e:
                case["error"] = type(e).__name__
            except jinja2.exceptions.TemplateError as e:
                case["raised"] = str(e)
            except TypeError as e:
                case["error"] = str(e)
            cases.append(case)

golden = {
    "versions": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
    "special": special,
    "conversations": {name: {"messages": m, "tools": t} for name, (m, t) in conversations.items()},
    "cases": cases,
}
path = pathlib.Path(__file__).with_name("golden.json.gz")
path.write_bytes(gzip.compress(json.dumps(golden, ensure_ascii=False).encode(), mtime=0))
