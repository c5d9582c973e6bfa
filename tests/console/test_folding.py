"""How a long sequence is told to people: questions that were asked again and again are told once."""

from tallystick.console.sentences import Lane
from tallystick.console.steps import Step, folded


def step(text: str, after: str, lane: Lane = Lane.WIRE) -> Step:
    return Step(lane=lane, kind="x", text=text, at="", after_seconds=f"{after}.000000000", since_previous_seconds="0")


def question(number: int, after: str) -> list[Step]:
    asked = f"rest: GET /data/orders open orders #{number}"
    return [step("silence", after, Lane.GAP), step(asked, after), step(f"{asked} → 200", after)]


def texts(*steps: Step) -> list[str]:
    return [told.text for told in folded(steps)]


def test_a_question_that_is_repeated_is_told_once_with_how_often_and_until_when() -> None:
    steps = [step("sent", "0", Lane.EVENT), *question(1, "60"), *question(2, "120"), *question(3, "180")]
    assert texts(*steps, step("filled", "200", Lane.EVENT)) == [
        "sent",
        "silence",
        "rest: GET /data/orders open orders #1",
        "rest: GET /data/orders open orders #1 → 200",
        "asked the same 2 times more, until +180.000000",
        "filled",
    ]


def test_what_comes_between_is_told_and_so_is_the_question_after_it() -> None:
    told = texts(*question(1, "60"), step("filled", "70", Lane.EVENT), *question(2, "120"))
    assert told.count("filled") == 1
    assert [text for text in told if "#2" in text]


def test_frames_and_orders_are_never_folded() -> None:
    frames = [step("stream: private stream", str(number)) for number in range(3)]
    posts = [step(f"rest: POST /order place #{number}", "9") for number in range(3)]
    assert texts(*frames, *posts) == [told.text for told in (*frames, *posts)]


def test_a_repetition_at_the_end_is_told_as_well() -> None:
    assert texts(*question(1, "60"), *question(2, "120"))[-1] == "asked the same 1 time more, until +120.000000"
