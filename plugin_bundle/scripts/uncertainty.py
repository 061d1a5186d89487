"""Button: show or hide the uncertainty."""

import sys

sys.dont_write_bytecode = True  # leaves nothing behind beside the scripts

from agent_socket import press  # noqa: E402

sys.exit(press("isolines"))
