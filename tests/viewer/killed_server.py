"""A page's server in a process that a test kills: `python killed_server.py DATASET` prints its address.

Each stroke is answered only when it is in the journal, so that a client knows which ones must survive.
"""

import sys
from pathlib import Path

from s4mi.viewer.server import ServerOptions, ViewServer

if __name__ == "__main__":
    server = ViewServer(ServerOptions(Path(sys.argv[1]), port=0))
    server.run(lambda: sys.stdout.write(f"{server.url}\n") and sys.stdout.flush())
