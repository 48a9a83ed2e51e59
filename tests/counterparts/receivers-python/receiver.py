# Receivers of webhooks, asked over standard input: one JSON object a line, one line of JSON for each
# answer. The program ends when its standard input ends.
import base64
import json
import sys
from datetime import datetime, timezone

from standardwebhooks import Webhook

example = {}


def accepts(work):
    try:
        return work() is not False
    except Exception:
        return False


def load(source):
    # The example of the documentation.
    exec(source, example)
    return callable(example["verify"])


def verify(secret, headers, body):
    raw = base64.b64decode(body)
    return {
        "example": accepts(lambda: example["verify"](secret, headers, raw)),
        "standardwebhooks": accepts(
            lambda: Webhook(secret).verify(raw, headers, json_parse=False)
        ),
    }


def sign(secret, id, seconds, body):
    at = datetime.fromtimestamp(seconds, timezone.utc)
    text = base64.b64decode(body).decode()
    return {"standardwebhooks": Webhook(secret).sign(id, at, text)}


questions = {"load": load, "verify": verify, "sign": sign}
for line in sys.stdin:
    question = json.loads(line)
    answer = questions[question.pop("ask")](**question)
    print(json.dumps(answer), flush=True)
