"""The pipes of the proxy: whatever comes, in whatever pieces and with faults coming and going, the same bytes go on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refute.injectors.proxy.lines import Lines
from refute.injectors.proxy.messages import answering, asking, baggage_of

PIECES = st.sampled_from([b"\n", b"\r\n", b'{"id": 1, "method": "x"}', b"[" * 3000, b"\xff", b"{}"]) | st.binary(max_size=20)


@given(st.lists(st.tuples(PIECES, st.booleans()), max_size=30))
def test_what_was_fed_goes_on_and_whole_lines_are_lines(fed):
    lines, out, reading = Lines(), b"", b""
    for chunk, whole in fed:
        for piece, is_line in lines.feed(chunk, whole=whole):
            if is_line:
                assert piece.endswith(b"\n")
                assert piece.count(b"\n") == 1
                assert out == b"" or out.endswith(b"\n")
            out += piece
        reading += chunk
        assert reading.startswith(out)
    assert out + lines.rest() == reading


@given(PIECES | st.text().map(lambda text: f'{{"id": 1, "method": "x", "params": {{"_meta": {text}}}}}'.encode()))
def test_any_line_is_a_question_an_answer_or_neither(line):
    message = asking(line)
    assert message is None or answering(line) is None
    if message is not None:
        assert isinstance(baggage_of(message), str)
