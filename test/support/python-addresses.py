"""Reads file names, one a line; answers each with the addresses that Python's email package shows of that message, as JSON."""

import email
import email.policy
import email.utils
import json
import sys

FIELDS = (
    "from sender reply-to to cc bcc resent-from resent-sender resent-to resent-cc resent-bcc".split()
)


def modern(message, shown):
    for field in FIELDS:
        for header in message.get_all(field, []):
            for address in getattr(header, "addresses", ()):
                shown.add(address.addr_spec)


def classic(message, shown):
    for field in FIELDS:
        values = [str(value) for value in message.get_all(field, [])]
        shown.update(address for _, address in email.utils.getaddresses(values))


def addresses(content):
    shown, failed = set(), []
    # Read from bytes, the package takes a header in UTF-8 (RFC 6532) for ASCII with bytes it does not know.
    text = content.decode("utf-8", "surrogateescape")
    for policy, read in ((email.policy.default, modern), (email.policy.compat32, classic)):
        try:
            for part in email.message_from_string(text, policy=policy).walk():
                read(part, shown)
        except Exception as error:  # The package fails on some malformed messages.
            failed.append(type(error).__name__)
    return {"addresses": sorted(address for address in shown if address), "failed": failed}


for line in sys.stdin:
    with open(line.rstrip("\n"), "rb") as file:
        content = file.read()
    if b"\r\n" not in content:
        content = content.replace(b"\n", b"\r\n")
    print(json.dumps(addresses(content)), flush=True)
