"""Reads messages with Python's own parser: one line of base64 in, one line of JSON out, as long as lines come.

The answer is a list of texts in which an address may stand: values of address fields, decoded headers, decoded texts.
Of a long text only what is around an at sign. Whatever policy.default cannot read is read with compat32.
"""

import base64
import html
import json
import re
import sys
import urllib.parse
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import compat32, default
from email.utils import getaddresses

ADDRESS_FIELDS = (
    "from sender reply-to to cc bcc resent-from resent-sender resent-to resent-cc resent-bcc".split()
)
AROUND = 120
AT = re.compile("[@\uff20]")


def around(text, into):
    last = -1
    for match in AT.finditer(text):
        at = match.start()
        if at < last:
            continue
        last = at + AROUND
        into.append(text[max(0, at - AROUND) : at + AROUND])


def plain(text, into):
    around(text, into)
    if "%" in text:
        around(urllib.parse.unquote(text, errors="replace"), into)


def rendered(text, into):
    plain(text, into)
    whole = html.unescape(text)
    if whole != text:
        plain(whole, into)
    shown = html.unescape(re.sub(r"(?s)<[^>]*>", "", text))
    around(shown, into)


def read_addresses(message, into):
    for name in ADDRESS_FIELDS:
        try:
            for field in message.get_all(name, []):
                for one in field.addresses:
                    into.append(one.addr_spec)
                    around(one.display_name, into)
        except Exception:
            pass


def read_headers(raw, into):
    for name, value in raw.items():
        value = str(value)
        into_before = len(into)
        around(value, into)
        try:
            around(str(make_header(decode_header(value))), into)
        except Exception:
            pass
        if name.lower() in ADDRESS_FIELDS and len(into) > into_before:
            try:
                into.extend(address for _, address in getaddresses([value]))
            except Exception:
                pass


def read_part(part, into):
    try:
        name = part.get_filename()
        if name:
            around(str(name), into)
    except Exception:
        pass
    if part.is_multipart() or part.get_content_maintype() in ("image", "audio", "video"):
        return
    try:
        content = part.get_payload(decode=True) or b""
    except Exception:
        return
    charset = part.get_content_charset() or "utf-8"
    try:
        text = content.decode(charset, errors="replace")
    except LookupError:
        text = content.decode("latin-1")
    if part.get_content_type() in ("text/calendar", "text/vcard"):
        text = re.sub(r"\r?\n[ \t]", "", text)
    (rendered if part.get_content_subtype() in ("html", "xhtml+xml") else plain)(text, into)


def read(content):
    found = []
    try:
        message = message_from_bytes(content, policy=default)
        read_addresses(message, found)
    except Exception:
        pass
    raw = message_from_bytes(content, policy=compat32)
    for part in raw.walk():
        read_headers(part, found)
        read_part(part, found)
    return list(dict.fromkeys(found))


def main():
    for line in sys.stdin:
        try:
            answer = read(base64.b64decode(line))
        except Exception as fault:
            answer = {"fault": type(fault).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
