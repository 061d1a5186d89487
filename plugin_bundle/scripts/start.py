"""Button: start the agent on the viewer in front, unless one runs already."""

import json
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # leaves nothing behind beside the scripts

from agent_socket import first_answer  # noqa: E402

PATIENCE_S = 60.0
HERE = os.path.dirname(os.path.abspath(__file__))


def start():
    """Start it, wait until it watches, print how that went; gives the exit code."""
    try:
        with open(os.path.join(HERE, "installed.json"), encoding="utf-8") as file:
            interpreter = json.load(file)["interpreter"]
        with open(os.path.join(HERE, "agent.log"), "w", encoding="utf-8") as log:
            os.chmod(log.name, 0o600)
            agent = subprocess.Popen(
                [interpreter, "-m", "osirix_agent.cli", "run"],
                cwd="/", env={**os.environ, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
            )  # fmt: skip
    except (OSError, ValueError, KeyError):
        print("The agent cannot be started. Close OsiriX, then run 'osirix-agent plugin install' in a terminal.")
        return 1
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        time.sleep(0.2)
        answer = first_answer("start")
        if answer is not None and answer.get("ready") and not answer.get("elsewhere"):
            print("The agent watches the viewer in front: click, or draw.")
            return 0
        if agent.poll() is not None:
            with open(os.path.join(HERE, "agent.log"), encoding="utf-8", errors="replace") as log:
                print("The agent ended at once. " + log.read()[-1000:].strip())
            return 1
    print("The agent is running but not ready. Open the series in OsiriX, close any dialog, and wait.")
    return 0


answer = first_answer("start")
if answer is not None and not answer.get("elsewhere"):  # an agent on another viewer does not stand in the way
    print(answer.get("message", ""))
    sys.exit(0 if answer.get("ok") else 1)
sys.exit(start())
