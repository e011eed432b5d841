"""Print one line for each alert that Alertmanager hands over: what a pager, a ticket or a log would be told."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(BaseHTTPRequestHandler):
    """Takes webhooks of Alertmanager; the path says who is told."""

    def do_POST(self) -> None:
        """Print the alerts in a notification."""
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for alert in told["alerts"]:
            what = alert["annotations"].get("summary", alert["labels"]["alertname"])
            print(f"{self.path.strip('/')}: {alert['status']} {alert['labels']['alertname']}: {what}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing else."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Receiver).serve_forever()
