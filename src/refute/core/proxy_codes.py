"""What the codes of the proxy's two forms mean, and what to do about them; part of `refute.core.codes.CODES`."""

from __future__ import annotations

PROXY_CODES: dict[str, tuple[str, str, str]] = {
    "PROXY-FRONT": (
        "What does the proxy stand before?",
        "A proxy stands before an upstream that is reached over the network, or in the place of an MCP server's command.",
        "`refute proxy --upstream URL`, or `refute proxy --stdio NAME -- COMMAND …`.",
    ),
    "PROXY-STDIO-NAME": (
        "Not a name for a server",
        "A server over stdio has no address. Runs know it by the name in its component's `endpoint`, `stdio://NAME`.",
        "Use lower-case letters, digits, dots and dashes.",
    ),
    "PROXY-STDIO-PIPES": (
        "No client at the other end",
        "An MCP client starts the server, and with it the proxy, and speaks over its standard input and output.",
        "Name the proxy in the client's configuration, in front of the server's own command.",
    ),
    "PROXY-STDIO-START": (
        "The server does not start",
        "What stands after `--` could not be started.",
        "Run it by itself; relative paths are relative to where the client starts it.",
    ),
}
