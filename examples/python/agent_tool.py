"""A sandbox as a tool of an AI agent: defined for Anthropic's and OpenAI's APIs, one machine for each conversation.

What a model would answer is written here, so that the program runs by itself; the tool calls are real.
"""

import json
import uuid
from typing import Any, Dict

from mags import Mags, MagsError

SCHEMA = {
    "type": "object",
    "properties": {"command": {"type": "string", "description": "Run by /bin/sh in /root; files stay between calls"}},
    "required": ["command"],
}
DESCRIPTION = "Run a shell command in the Linux machine of this conversation (Debian, root, python3, node, git)."

ANTHROPIC_TOOL = {"name": "shell", "description": DESCRIPTION, "input_schema": SCHEMA}
OPENAI_TOOL = {"type": "function", "function": {"name": "shell", "description": DESCRIPTION, "parameters": SCHEMA}}


class Conversation:
    """The machine of one conversation: made with its first command, asleep when nobody uses it, gone with its end."""

    def __init__(self, mags: Mags) -> None:
        self._mags = mags
        self._name = f"chat-{uuid.uuid4().hex[:8]}"
        self._up = False

    def shell(self, command: str) -> str:
        try:
            if not self._up:
                self._mags.new(self._name)
                self._up = True
            result = self._mags.exec(self._name, command, timeout=60)
        except MagsError as error:
            return f"the sandbox failed: {error}"
        return f"{result['stdout']}{result['stderr']}[exit code {result['exit_code']}]"

    def anthropic(self, block: Dict[str, Any]) -> Dict[str, Any]:
        """The answer to a ``tool_use`` block of a message."""
        return {"type": "tool_result", "tool_use_id": block["id"], "content": self.shell(block["input"]["command"])}

    def openai(self, call: Dict[str, Any]) -> Dict[str, Any]:
        """The answer to one of a message's ``tool_calls``."""
        arguments = json.loads(call["function"]["arguments"])
        return {"role": "tool", "tool_call_id": call["id"], "content": self.shell(arguments["command"])}

    def end(self) -> None:
        if self._up:
            self._mags.stop(self._name)
            self._mags.delete_workspace(self._name, force=True)


with Mags() as mags:
    conversation = Conversation(mags)
    try:
        # client.messages.create(tools=[ANTHROPIC_TOOL], …) answers with blocks like this one.
        block = {"type": "tool_use", "id": "toolu_1", "name": "shell", "input": {"command": "echo 6*7 > task.txt"}}
        print(conversation.anthropic(block)["content"])
        # client.chat.completions.create(tools=[OPENAI_TOOL], …) with calls like this one.
        call = {"id": "call_1", "function": {"name": "shell", "arguments": '{"command": "python3 -c \\"$(echo print)($(cat task.txt))\\""}'}}
        print(conversation.openai(call)["content"])
        print(conversation.shell("cat /no/such/file"))
    finally:
        conversation.end()
    print(json.dumps([ANTHROPIC_TOOL["name"], OPENAI_TOOL["function"]["name"]]))
