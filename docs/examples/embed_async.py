"""A strategy host under trio: the runtime lives in the host's own loop, and reports are awaited.

tallystick sim polymarket --port 8137                               # in another terminal: the venue
DEMO_PRIVATE_KEY=0x$(openssl rand -hex 32) python docs/examples/embed_async.py config/demo.toml
"""

# ruff: noqa: T201 - an example prints
import sys
from pathlib import Path

import trio
from tallystick import IntentRejected, load_configuration, open_runtime
from tallystick.model.intake import BadIntent

LINES = Path(__file__).with_name("intents.jsonl")


async def main(configuration: str) -> None:
    async with open_runtime(load_configuration(configuration)) as runtime:
        with trio.fail_after(30):
            await runtime.wait_live()
        for line in LINES.read_bytes().splitlines():
            intent = runtime.read_intent(line)
            if isinstance(intent, BadIntent):
                print(intent)  # every wrong field, with what was found and what is allowed
                continue
            try:
                ticket = await runtime.submit(intent)
            except IntentRejected as refused:
                print(intent.intent_id, "refused:", refused)
                continue
            async for report in ticket:
                print(report.intent_id, report.number, report.kind, report.text)


trio.run(main, sys.argv[1])
