"""Write golden.json from the examples, after a deliberate change of the protocol."""

import json
from pathlib import Path

from examples import EXAMPLES, frames_of

from websim.wire.messages import PROTOCOL_VERSION

if __name__ == "__main__":
    messages = {
        message.__struct_config__.tag: [frame.hex() for frame in frames_of(message, arrays)]
        for message, arrays in EXAMPLES
    }
    golden = {"protocol_version": PROTOCOL_VERSION, "messages": messages}
    path = Path(__file__).parent / "golden.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")
