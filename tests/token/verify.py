#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Capability tokens once more, from docs/token-format.md alone: reads, verifies, makes and narrows them.

    verify.py vectors FILE              verifies the vectors of FILE
    verify.py make-vectors              writes the vectors to standard output
    verify.py exchange NETBROKERCTL     makes tokens that netbrokerctl verifies, and narrows and verifies its own

Of what a pattern may be it knows nothing: that is the policy's syntax, and the vectors have valid ones where a token is valid.
"""
import base64
import hashlib
import json
import struct
import subprocess
import sys
import tempfile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PREFIX = "nbtoken1_"
DOMAIN_BLOCK = b"netbroker token block v1\0"
DOMAIN_CLOSE = b"netbroker token close v1\0"
QUOTAS = {"MaxControls", "MaxListeners", "MaxConnections", "MaxConnecting"}
NOW = 1800000000


class Refused(Exception):
    """Why a token is refused, in the words of the vectors."""


# ---- protobuf, strictly ----

def read_varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Refused("malformed")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if value >= 1 << 64 or (byte == 0 and shift > 0):
        raise Refused("malformed")
    return value, at


def read_message(data, fields):
    """fields: number -> (name, "varint" | "bytes" | "text" | fields of a message, repeated). Unknown or repeated ones refuse it."""
    message, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        number, wire = key >> 3, key & 7
        if number not in fields:
            raise Refused("malformed")
        name, kind, repeated = fields[number]
        if wire != (0 if kind == "varint" else 2) or (name in message and not repeated):
            raise Refused("malformed")
        value, at = read_varint(data, at)
        if kind != "varint":
            length, value = value, data[at:at + value]
            if len(value) != length:
                raise Refused("malformed")
            at += length
        if kind == "text":
            value = read_text(value)
        elif isinstance(kind, dict):
            value = read_message(value, kind)
        if repeated:
            message.setdefault(name, []).append(value)
        else:
            message[name] = value
    return message


def read_text(value):
    if b"\0" in value:
        raise Refused("malformed")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("malformed") from error


TEXTS = {1: ("items", "text", True)}
QUOTA = {1: ("key", "text", False), 2: ("value", "varint", False)}
BLOCK = {
    1: ("id", "bytes", False), 2: ("label", "text", False), 3: ("tenants", TEXTS, False), 4: ("protocols", TEXTS, False),
    5: ("verbs", TEXTS, False), 6: ("connect", TEXTS, False), 7: ("listen", TEXTS, False), 8: ("deny", TEXTS, False),
    9: ("quotas", QUOTA, True), 10: ("not_before", "varint", False), 11: ("not_after", "varint", False),
}
SIGNED = {1: ("block", "bytes", False), 2: ("next_key", "bytes", False), 3: ("signature", "bytes", False)}
TOKEN = {1: ("version", "varint", False), 2: ("issuer", "bytes", False), 3: ("blocks", SIGNED, True),
         4: ("secret", "bytes", False), 5: ("closing", "bytes", False)}


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number, value):
    return varint(number << 3) + varint(value)


def bytes_field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


# ---- chains ----

def signed_part(index, previous, next_key, block):
    return DOMAIN_BLOCK + struct.pack("<I", index) + previous + next_key + block


def closed_part(count, last):
    return DOMAIN_CLOSE + struct.pack("<I", count) + last


def check_signature(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Refused("signature") from error


def public_of(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def read_token(data):
    if not 0 < len(data) <= 8192:
        raise Refused("malformed")
    token = read_message(data, TOKEN)
    blocks = token.get("blocks", [])
    if token.get("version") != 1 or len(token.get("issuer", b"")) != 32 or not 1 <= len(blocks) <= 16:
        raise Refused("malformed")
    if ("secret" in token) == ("closing" in token):
        raise Refused("malformed")
    if len(token.get("secret", bytes(32))) != 32 or len(token.get("closing", bytes(64))) != 64:
        raise Refused("malformed")
    for block in blocks:
        if len(block.get("next_key", b"")) != 32 or len(block.get("signature", b"")) != 64:
            raise Refused("malformed")
    return token


def check_chain(token):
    key, previous = token["issuer"], bytes(64)
    for index, block in enumerate(token["blocks"]):
        check_signature(key, block["signature"],
                        signed_part(index, previous, block["next_key"], block.get("block", b"")))
        key, previous = block["next_key"], block["signature"]
    if "closing" in token:
        check_signature(key, token["closing"], closed_part(len(token["blocks"]), previous))
    elif public_of(token["secret"]) != key:
        raise Refused("signature")


def check_block(block, tenant):
    if len(block.get("id", b"")) != 16:
        raise Refused("malformed")
    if tenant is not None and "tenants" in block and tenant not in block["tenants"].get("items", []):
        raise Refused("tenant")
    if any(verb not in ("connect", "listen") for verb in block.get("verbs", {}).get("items", [])):
        raise Refused("malformed")
    keys = [quota.get("key", "") for quota in block.get("quotas", [])]
    values = [quota.get("value", 0) for quota in block.get("quotas", [])]
    if len(set(keys)) != len(keys) or not set(keys) <= QUOTAS or not all(0 < v < 2**64 - 1 for v in values):
        raise Refused("malformed")
    if block.get("not_after", 0) and block.get("not_before", 0) >= block["not_after"]:
        raise Refused("malformed")
    if len(block.get("label", "").encode()) > 128:
        raise Refused("malformed")


def verify(data, issuer, tenant, now, revoked=()):
    """Returns the blocks, or raises Refused."""
    token = read_token(data)
    if token["issuer"] != issuer:
        raise Refused("issuer")
    check_chain(token)
    blocks = []
    for signed in token["blocks"]:
        blocks.append(read_message(signed.get("block", b""), BLOCK))
        check_block(blocks[-1], tenant)
    if any(now < block.get("not_before", 0) for block in blocks):
        raise Refused("early")
    if any(block.get("not_after", 0) and now >= block["not_after"] for block in blocks):
        raise Refused("expired")
    if any(block["id"] in revoked for block in blocks):
        raise Refused("revoked")
    return blocks


# ---- making ----

def texts(items):
    return b"".join(bytes_field(1, item.encode()) for item in items)


def make_block(name, **lists):
    out = bytes_field(1, hashlib.sha256(name.encode()).digest()[:16])
    out += bytes_field(2, lists["label"].encode()) if "label" in lists else b""
    for number, key in ((3, "tenants"), (4, "protocols"), (5, "verbs"), (6, "connect"), (7, "listen"), (8, "deny")):
        if key in lists:
            out += bytes_field(number, texts(lists[key]))
    for key, value in lists.get("quotas", []):
        out += bytes_field(9, bytes_field(1, key.encode()) + number_field(2, value))
    for number, key in ((10, "not_before"), (11, "not_after")):
        if key in lists:
            out += number_field(number, lists[key])
    return out


def seed_of(name):
    """Keys of the vectors; nobody else's are made so."""
    return hashlib.sha256(b"vector " + name.encode()).digest()


class Chain:
    """A token that is being made. Its keys are made of names, so that the vectors are the same each time."""

    def __init__(self, issuer_seed, name):
        self.issuer, self.seed, self.name = public_of(issuer_seed), issuer_seed, name
        self.blocks, self.previous = [], bytes(64)

    @classmethod
    def of(cls, data, name):
        token = read_token(data)
        chain = cls(token["secret"], name)
        chain.issuer = token["issuer"]
        chain.blocks = [(b.get("block", b""), b["next_key"], b["signature"]) for b in token["blocks"]]
        chain.previous = chain.blocks[-1][2]
        return chain

    def add(self, block):
        next_seed = seed_of(f"{self.name} {len(self.blocks)}")
        next_key = public_of(next_seed)
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(
            signed_part(len(self.blocks), self.previous, next_key, block))
        self.blocks.append((block, next_key, signature))
        self.seed, self.previous = next_seed, signature
        return self

    def encode(self, closed=False, blocks=None, issuer=None, end=None):
        out = number_field(1, 1) + bytes_field(2, issuer or self.issuer)
        for block, next_key, signature in blocks if blocks is not None else self.blocks:
            out += bytes_field(3, bytes_field(1, block) + bytes_field(2, next_key) + bytes_field(3, signature))
        if end is not None:
            return out + end
        if closed:
            return out + bytes_field(5, Ed25519PrivateKey.from_private_bytes(self.seed).sign(
                closed_part(len(self.blocks), self.previous)))
        return out + bytes_field(4, self.seed)


def to_text(data):
    return PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def of_text(text):
    text = text.strip().removeprefix(PREFIX)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---- the vectors ----

ISSUER = seed_of("issuer")


def valid_chains():
    first = make_block("first", label="web", tenants=["acme", "other"], protocols=["web"], verbs=["connect"],
                       connect=["*.example.com:443", "10.0.0.0/8:5432-5433"], deny=["10.9.0.0/16:*"],
                       quotas=[("MaxConnections", 10)], not_before=NOW - 100, not_after=NOW + 100)
    yield "one block", Chain(ISSUER, "a").add(first)
    yield "three blocks", Chain(ISSUER, "b").add(first).add(make_block("second", connect=["any:443"])).add(
        make_block("third", listen=[], not_after=NOW + 1))
    yield "nothing is narrowed", Chain(ISSUER, "c").add(make_block("bare"))
    yield "lists that are there and empty", Chain(ISSUER, "d").add(
        make_block("empty", protocols=[], verbs=[], connect=[], listen=[], deny=[]))
    yield "Unix sockets", Chain(ISSUER, "e").add(make_block("unix", connect=["/run/app/*.sock", "@app"], listen=["@x"]))
    yield "all quotas", Chain(ISSUER, "f").add(make_block("quotas", quotas=[(key, 7) for key in sorted(QUOTAS)]))
    sixteen = Chain(ISSUER, "g")
    for index in range(16):
        sixteen.add(make_block(f"sixteen {index}"))
    yield "sixteen blocks", sixteen


def vector(name, data, result, **more):
    return {"name": name, "token": data.hex(), "issuer": public_of(ISSUER).hex(), "tenant": "acme", "now": NOW,
            "result": result, **more}


def bad_blocks():
    yield "an unknown field of a block", make_block("x") + number_field(12, 1), "malformed"
    yield "an unknown verb", make_block("x", verbs=["accept"]), "malformed"
    yield "an unknown quota", make_block("x", quotas=[("MaxSessions", 1)]), "malformed"
    yield "a quota of nothing", make_block("x", quotas=[("MaxControls", 0)]), "malformed"
    yield "a quota twice", make_block("x", quotas=[("MaxControls", 1), ("MaxControls", 2)]), "malformed"
    yield "no identifier", make_block("x")[18:], "malformed"
    yield "an identifier that is too short", bytes_field(1, bytes(15)), "malformed"
    yield "a label twice", make_block("x", label="a") + bytes_field(2, b"b"), "malformed"
    yield "a label that is no UTF-8", make_block("x") + bytes_field(2, b"\xff"), "malformed"
    yield "a label that is too long", make_block("x", label="l" * 129), "malformed"
    yield "a NUL in a pattern", make_block("x", connect=["any:4\x0043"]), "malformed"
    yield "a number in more bytes than it takes", make_block("x") + varint(11 << 3) + b"\x80\x00", "malformed"
    yield "a list as a number", make_block("x") + number_field(6, 1), "malformed"
    yield "a text that goes beyond its block", make_block("x") + varint(2 << 3 | 2) + b"\x05abc", "malformed"
    yield "it ends before it begins", make_block("x", not_before=NOW, not_after=NOW), "malformed"
    yield "another tenant", make_block("x", tenants=["other"]), "tenant"
    yield "no tenant at all", make_block("x", tenants=[]), "tenant"
    yield "expired at this moment", make_block("x", not_after=NOW), "expired"
    yield "not yet", make_block("x", not_before=NOW + 1), "early"
    yield "a time beyond all", make_block("x", not_before=2**64 - 1), "early"


def bad_chains():
    chain = Chain(ISSUER, "b")
    for name in ("first", "second", "third"):
        chain.add(make_block(name))
    one, two, three = chain.blocks
    other = Chain(ISSUER, "other").add(make_block("first")).add(make_block("second")).blocks
    whole = chain.encode()
    yield "the first block is dropped", chain.encode(blocks=[two, three]), "signature"
    yield "the middle one", chain.encode(blocks=[one, three]), "signature"
    yield "the last one", chain.encode(blocks=[one, two]), "signature"
    yield "all", chain.encode(blocks=[]), "malformed"
    yield "blocks are swapped", chain.encode(blocks=[two, one, three]), "signature"
    yield "a block twice", chain.encode(blocks=[one, two, two]), "signature"
    yield "a block of another token", chain.encode(blocks=[one, other[1], three]), "signature"
    yield "another first block", chain.encode(blocks=[other[0], two, three]), "signature"
    yield "a signature of zeros", chain.encode(blocks=[one, (two[0], two[1], bytes(64)), three]), "signature"
    yield "a key of zeros", chain.encode(blocks=[one, (two[0], bytes(32), two[2]), three]), "signature"
    yield "a signature that is too short", chain.encode(blocks=[one, (two[0], two[1], two[2][:63]), three]), "malformed"
    yield "a changed block", chain.encode(blocks=[one, (make_block("2nd"), two[1], two[2]), three]), "signature"
    yield "another issuer", Chain(seed_of("stranger"), "s").add(make_block("first")).encode(), "issuer"
    yield "another who says it is this one", Chain(seed_of("stranger"), "s").add(make_block("first")).encode(
        issuer=public_of(ISSUER)), "signature"
    yield "no end", chain.encode(end=b""), "malformed"
    yield "both ends", chain.encode(closed=True) + bytes_field(4, chain.seed), "malformed"
    yield "the secret of the block before", chain.encode(end=bytes_field(4, seed_of("b 1"))), "signature"
    yield "closed by zeros", chain.encode(end=bytes_field(5, bytes(64))), "signature"
    yield "closed by a block's signature", chain.encode(end=bytes_field(5, three[2])), "signature"
    yield "closed, and then cut", chain.encode(closed=True, blocks=[one, two]), "signature"
    yield "version 2", b"\x08\x02" + whole[2:], "malformed"
    yield "an unknown field", whole + number_field(6, 1), "malformed"
    yield "bytes behind it", whole + b"\0", "malformed"
    yield "half of it", whole[:len(whole) // 2], "malformed"
    yield "nothing", b"", "malformed"
    yield "longer than 8 KiB", Chain(ISSUER, "l").add(make_block("x", label="l" * 8192)).encode(), "malformed"
    seventeen = Chain(ISSUER, "g")
    for index in range(17):
        seventeen.add(make_block(f"sixteen {index}"))
    yield "seventeen blocks", seventeen.encode(), "malformed"


def make_vectors():
    vectors = []
    for name, chain in valid_chains():
        vectors.append(vector(name, chain.encode(), "fine", blocks=len(chain.blocks)))
        vectors.append(vector(f"{name}, closed", chain.encode(closed=True), "fine", blocks=len(chain.blocks)))
    for name, block, result in bad_blocks():
        vectors.append(vector(name, Chain(ISSUER, name).add(block).encode(), result))
        vectors.append(vector(f"{name}, behind a good block",
                              Chain(ISSUER, name).add(make_block("first")).add(block).encode(), result))
    for name, data, result in bad_chains():
        vectors.append(vector(name, data, result))
    revoked = Chain(ISSUER, "r").add(make_block("first")).add(make_block("second"))
    for name in ("first", "second"):
        identifier = hashlib.sha256(name.encode()).hexdigest()[:32]
        vectors.append(vector(f"the {name} block is revoked", revoked.encode(), "revoked", revoked=identifier))
    vectors.append(vector("another block is revoked", revoked.encode(), "fine", blocks=2, revoked="00" * 16))
    return vectors


def check_vectors(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    for one in vectors:
        revoked = {bytes.fromhex(one["revoked"])} if "revoked" in one else set()
        try:
            blocks = verify(bytes.fromhex(one["token"]), bytes.fromhex(one["issuer"]), one["tenant"], one["now"], revoked)
            result = "fine"
            assert len(blocks) == one["blocks"], one["name"]
        except Refused as refused:
            result = str(refused)
        assert result == one["result"], f"{one['name']}: {result}, and not {one['result']}"
    assert vectors == make_vectors(), f"{path} is not what make-vectors writes"
    print(f"{len(vectors)} vectors")


# ---- with netbrokerctl ----

def run(program, *arguments, text=None, status=0):
    done = subprocess.run([program, "token", *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def exchange(program):
    with tempfile.TemporaryDirectory() as folder:
        public = run(program, "keygen", "--output", f"{folder}/key").removeprefix("TokenKey=ed25519/")
        issuer = base64.b64decode(public)
        theirs = run(program, "new", "--key", f"{folder}/key", "--tenant", "acme", "--connect", "any:443", "--expires", "1h")
    now = int(subprocess.check_output(["date", "+%s"]))
    verify(of_text(theirs), issuer, "acme", now)
    verify(of_text(run(program, "attenuate", "--deny", "10.0.0.0/8:*", text=theirs)), issuer, "acme", now)
    verify(of_text(run(program, "close", text=theirs)), issuer, "acme", now)

    narrowed = Chain.of(of_text(theirs), "narrowed").add(make_block("ours", connect=["192.0.2.0/24:443"]))
    for closed in (False, True):
        run(program, "verify", "--issuer", f"ed25519/{public}", "--tenant", "acme", text=to_text(narrowed.encode(closed)))
    run(program, "verify", "--issuer", f"ed25519/{public}", "--tenant", "acme", status=1,
        text=to_text(narrowed.encode(blocks=narrowed.blocks[:1])))
    run(program, "attenuate", "--label", "again", text=to_text(narrowed.encode()))

    ours = Chain(ISSUER, "ours").add(make_block("ours", protocols=["web"])).encode()
    key = "ed25519/" + base64.b64encode(public_of(ISSUER)).decode()
    run(program, "verify", "--issuer", key, text=to_text(ours))
    run(program, "verify", "--issuer", f"ed25519/{public}", text=to_text(ours), status=1)
    print("exchanged")


def main():
    match sys.argv[1:]:
        case ["vectors", path]:
            check_vectors(path)
        case ["make-vectors"]:
            print(json.dumps(make_vectors(), indent=1))
        case ["exchange", program]:
            exchange(program)
        case _:
            sys.exit(__doc__)


main()
