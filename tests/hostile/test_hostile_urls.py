"""Addresses and hosts that mean harm: the address checked is the one connected to; each end has a code."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from hostile_hosts import RawHost, drips, listening, resolving, response, says, says_for_ever

from orchestrator.errors import TagdeskError
from orchestrator.images.codes import FetchCode, UnavailableCode
from orchestrator.images.fetch import ImageFetcher
from orchestrator.records import ImageSource, SourceKind
from orchestrator.settings import Settings

pytestmark = pytest.mark.anyio

BODY = b"the board's own picture"
MAX_BYTES = 100_000
MIB = 1024 * 1024


def settings_with(tmp_path: Path, **changes: object) -> Settings:
    needed = {
        "database_url": "mysql+asyncmy://unused/unused",
        "redis_url": "redis://unused",
        "triton_url": "unused:1",
        "model_repository": tmp_path / "models",
        "blob_dir": tmp_path / "blobs",
        "max_image_bytes": MAX_BYTES,
        "fetch_timeout": 10.0,
    }
    return Settings.model_validate(needed | changes)


@pytest.fixture
def closed(tmp_path: Path) -> Settings:
    """Nothing private is allowed."""
    return settings_with(tmp_path)


@pytest.fixture
def store_allowed(tmp_path: Path) -> Settings:
    """The board's own store, at 127.0.0.2, is allowed, and nothing beside it."""
    return settings_with(tmp_path, fetch_allow="127.0.0.2")


@pytest.fixture
async def secret() -> AsyncIterator[RawHost]:
    """A host that no picture may come from."""
    host = RawHost("127.0.0.1", says(response(b"a secret")))
    async with listening(host):
        yield host


@pytest.fixture
async def store_host() -> AsyncIterator[RawHost]:
    """The board's own store."""
    host = RawHost("127.0.0.2", says(response(BODY)))
    async with listening(host):
        yield host


async def outcome(settings: Settings, url: str, **options: object) -> str:
    """Return `ok`, or the code that the address is refused with."""
    async with ImageFetcher(settings, **options) as fetcher:
        try:
            await fetcher.fetch(ImageSource(SourceKind.URL, url))
        except TagdeskError as error:
            return error.code
    return "ok"


class TestAddresses:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.8.9.10", "127.255.255.254"])
    async def test_the_whole_loopback_network_is_refused(self, closed: Settings, address: str):
        # Given a server that really listens there
        host = RawHost(address, says(response(BODY)))
        async with listening(host):
            # Then nobody connects to it
            assert await outcome(closed, host.url()) == FetchCode.PRIVATE_ADDRESS
            assert host.connections == 0

    @pytest.mark.parametrize(
        "spelling",
        ["[::ffff:7f00:2]", "[::ffff:127.0.0.2]", "[0:0:0:0:0:ffff:7f00:0002]", "[64:ff9b::7f00:2]",
         "[64:ff9b:1::7f00:2]", "[2002:7f00:2::]", "[::127.0.0.2]", "[2001:0:7f00:2::1]"],
    )  # fmt: skip
    async def test_an_address_within_an_address(self, closed: Settings, spelling: str):
        assert await outcome(closed, f"http://{spelling}/a.png") == FetchCode.PRIVATE_ADDRESS

    @pytest.mark.parametrize(
        "spelling",
        ["2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518",
         "169.16689662", "0251.254.0xa9fe"],
    )  # fmt: skip
    async def test_the_metadata_service_spelled_as_numbers(self, closed: Settings, spelling: str):
        found = await outcome(closed, f"http://{spelling}/latest/meta-data/")
        assert found in {FetchCode.PRIVATE_ADDRESS, FetchCode.URL_REFUSED}

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.0.1", "::1", "::",
         "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:c0a8:1::1"],
    )  # fmt: skip
    async def test_a_harmless_name_that_resolves_to_a_private_address(self, closed: Settings, address: str):
        found = await outcome(closed, "http://pictures.example/a.png", resolver=resolving(address))
        assert found == FetchCode.PRIVATE_ADDRESS

    async def test_a_name_that_is_rebound_between_two_pictures(
        self, closed: Settings, store_allowed: Settings, secret: RawHost, store_host: RawHost
    ):
        # Given a name that means the allowed store at first, and a private host later
        resolver = resolving("127.0.0.2", "127.0.0.1")
        async with ImageFetcher(store_allowed, resolver=resolver) as fetcher:
            first = ImageSource(SourceKind.URL, store_host.url(name="pictures.example"))
            again = ImageSource(SourceKind.URL, secret.url(name="pictures.example"))
            # When it is asked twice
            assert (await fetcher.fetch(first)).data == BODY
            with pytest.raises(TagdeskError) as refusal:
                await fetcher.fetch(again)
        # Then the second answer was judged for itself
        assert refusal.value.code == FetchCode.PRIVATE_ADDRESS
        assert secret.connections == 0

    async def test_the_address_that_was_checked_is_the_one_connected_to(
        self, store_allowed: Settings, store_host: RawHost, secret: RawHost
    ):
        # Given a name server that would answer otherwise if it were asked a second time for one picture
        resolver = resolving("127.0.0.2", "127.0.0.1")
        url = store_host.url(name="pictures.example")
        # Then one question is all that is asked, and its answer is where the connection goes
        assert await outcome(store_allowed, url, resolver=resolver) == "ok"
        assert (store_host.connections, secret.connections) == (1, 0)
        assert await resolver("pictures.example", 80) == await resolving("127.0.0.1")("", 80)


class TestTheBoardsOwnStore:
    async def test_it_is_let_through_and_its_neighbours_are_not(
        self, store_allowed: Settings, store_host: RawHost, secret: RawHost
    ):
        assert await outcome(store_allowed, store_host.url()) == "ok"
        assert await outcome(store_allowed, secret.url()) == FetchCode.PRIVATE_ADDRESS
        assert secret.connections == 0

    async def test_it_may_be_a_network(self, tmp_path: Path, store_host: RawHost, secret: RawHost):
        settings = settings_with(tmp_path, fetch_allow="10.1.0.0/16,127.0.0.2/31")
        assert await outcome(settings, store_host.url()) == "ok"
        assert await outcome(settings, secret.url()) == FetchCode.PRIVATE_ADDRESS

    async def test_it_may_be_a_name_whatever_that_resolves_to(
        self, tmp_path: Path, store_host: RawHost, secret: RawHost
    ):
        settings = settings_with(tmp_path, fetch_allow="store.board.example")
        here = resolving("127.0.0.2")
        assert await outcome(settings, store_host.url(name="store.board.example"), resolver=here) == "ok"
        # But no longer name that ends or begins like it
        for name in ("evil-store.board.example", "x.store.board.example", "store.board.example.evil.example"):
            url = store_host.url(name=name)
            assert await outcome(settings, url, resolver=here) == FetchCode.PRIVATE_ADDRESS

    @pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
    async def test_its_redirects_may_not_lead_elsewhere(
        self, store_allowed: Settings, store_host: RawHost, secret: RawHost, status: str
    ):
        # Given the store redirecting to a private neighbour
        store_host.answer = says(response(b"", f"Location: {secret.url()}", status=status))
        # Then nobody follows
        assert await outcome(store_allowed, store_host.url()) == FetchCode.PRIVATE_ADDRESS
        assert secret.connections == 0

    @pytest.mark.parametrize(
        ("target", "code"),
        [
            ("http://169.254.169.254/latest/meta-data/", FetchCode.PRIVATE_ADDRESS),
            ("http://2130706433/", FetchCode.PRIVATE_ADDRESS),
            ("http://0x7f.1/", FetchCode.PRIVATE_ADDRESS),
            ("http://0.0.0.0/", FetchCode.PRIVATE_ADDRESS),
            ("http://[::ffff:7f00:1]/", FetchCode.PRIVATE_ADDRESS),
            ("//127.0.0.1/x", FetchCode.PRIVATE_ADDRESS),
            ("file:///etc/passwd", FetchCode.URL_REFUSED),
            ("ftp://127.0.0.2/a.png", FetchCode.URL_REFUSED),
            ("data:image/png;base64,iVBORw0KGgo=", FetchCode.URL_REFUSED),
            ("http://me:secret@127.0.0.2/a.png", FetchCode.URL_REFUSED),
            ("http://127.0.0.2:99999/", FetchCode.URL_REFUSED),
            ("http://[::1/", UnavailableCode.FETCH_UNAVAILABLE),
            ("http://", FetchCode.TOO_MANY_REDIRECTS),  # means the same page again
        ],
    )
    async def test_redirects_into_everything_that_is_refused(
        self, store_allowed: Settings, store_host: RawHost, target: str, code: str
    ):
        store_host.answer = says(response(b"", f"Location: {target}", status="302 Found"))
        assert await outcome(store_allowed, store_host.url()) == code


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        ["gopher://127.0.0.1/", "ftp://example.org/a", "file:///etc/passwd", "data:image/png;base64,AAAA",
         "blob:http://example.org/1", "ws://example.org/", "unix:/run/x.sock", "http+unix://%2Frun%2Fx/",
         "//example.org/a", "http:a.png", "http:///etc/passwd",
         "http://user:secret@example.org/a.png", "http://:secret@example.org/",
         "http://example.org%00.evil.example/", "http://exam\tple.org/",
         "http://example.org\r\nX-A: b/",
         "http://%31%32%37.0.0.1/", "http://example.org:port/", "\x00", "http://" + "a" * 70_000],
    )  # fmt: skip
    async def test_what_is_no_address_of_a_picture(self, closed: Settings, url: str):
        assert await outcome(closed, url) == FetchCode.URL_REFUSED


class TestHosts:
    """What an allowed host may still try."""

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            pytest.param(b"", UnavailableCode.FETCH_UNAVAILABLE, id="nothing"),
            pytest.param(b"garbage\r\n\r\n", UnavailableCode.FETCH_UNAVAILABLE, id="no-http"),
            pytest.param(b"HTTP/1.1 999999 X\r\n\r\n", UnavailableCode.FETCH_UNAVAILABLE, id="status"),
            pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", UnavailableCode.FETCH_UNAVAILABLE, id="ssh"),
            pytest.param(
                response(BODY, "Content-Length: 900"), UnavailableCode.FETCH_UNAVAILABLE, id="too-long"
            ),
            pytest.param(
                response(BODY, "Content-Length: -1"), UnavailableCode.FETCH_UNAVAILABLE, id="negative"
            ),
            pytest.param(
                response(BODY, "Content-Length: many"), UnavailableCode.FETCH_UNAVAILABLE, id="words"
            ),
            pytest.param(
                response(BODY, "Content-Length: 1", "Content-Length: 2"),
                UnavailableCode.FETCH_UNAVAILABLE,
                id="two-lengths",
            ),
            pytest.param(
                response(BODY, "Content-Length: " + "9" * 5_000),
                UnavailableCode.FETCH_UNAVAILABLE,
                id="length-of-5000-digits",
            ),
            pytest.param(response(BODY, f"Content-Length: {10**15}"), FetchCode.TOO_LARGE, id="petabyte"),
            pytest.param(response(BODY, f"Content-Length: {len(BODY)}"), "ok", id="right"),
            pytest.param(response(BODY + b"more", f"Content-Length: {len(BODY)}"), "ok", id="too-short"),
            pytest.param(
                response(b"zz\r\n", "Transfer-Encoding: chunked"),
                UnavailableCode.FETCH_UNAVAILABLE,
                id="chunk-size",
            ),
            pytest.param(
                response(b"5\r\nabc", "Transfer-Encoding: chunked"),
                UnavailableCode.FETCH_UNAVAILABLE,
                id="chunk-cut",
            ),
            pytest.param(
                response(BODY, "X-A: " + "a" * 500_000),
                UnavailableCode.FETCH_UNAVAILABLE,
                id="half-megabyte-header",
            ),
            pytest.param(
                response(BODY, *(f"X-{n}: a" for n in range(50_000))),
                UnavailableCode.FETCH_UNAVAILABLE,
                id="fifty-thousand-headers",
            ),
            pytest.param(response(b"", "Location: \xff\xfe", status="302 F"), "any", id="odd-location"),
        ],
    )
    async def test_answers_that_are_not_what_they_say(
        self, store_allowed: Settings, store_host: RawHost, data: bytes, code: str
    ):
        store_host.answer = says(data)
        found = await outcome(store_allowed, store_host.url())
        known = {"ok", *FetchCode, *UnavailableCode}
        assert found in ({code} if code != "any" else known - {"ok"})

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(drips(response(b""), b"x"), id="body"),
            pytest.param(drips(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), id="headers"),
            pytest.param(drips(b"", b"H"), id="status-line"),
            pytest.param(drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="continue"),
            pytest.param(drips(response(b"", "Transfer-Encoding: chunked"), b"1\r\nx\r\n"), id="chunks"),
        ],
    )
    async def test_a_drip_ends_at_the_deadline_of_the_whole(
        self, tmp_path: Path, store_host: RawHost, answer: object
    ):
        # Given a host that always sends a little before any single read would time out
        store_host.answer = answer
        settings = settings_with(tmp_path, fetch_allow="127.0.0.2", fetch_timeout=0.5)
        # When a picture is fetched from it
        started = time.monotonic()
        found = await outcome(settings, store_host.url())
        # Then the time for all of it counts (a status line may be refused as too long before)
        assert found in {UnavailableCode.FETCH_TIMEOUT, UnavailableCode.FETCH_UNAVAILABLE}
        assert time.monotonic() - started < 5

    @pytest.mark.parametrize(
        ("answer", "codes"),
        [
            pytest.param(says_for_ever(response(b""), bytes(65_536)), {FetchCode.TOO_LARGE}, id="body"),
            pytest.param(
                says_for_ever(
                    response(b"", "Transfer-Encoding: chunked"), b"1000\r\n" + bytes(4096) + b"\r\n"
                ),
                {FetchCode.TOO_LARGE},
                id="chunks",
            ),
            pytest.param(
                says_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"b" * 1000 + b"\r\n"),
                {UnavailableCode.FETCH_UNAVAILABLE},
                id="headers",
            ),
            pytest.param(
                says_for_ever(response(b"", "Content-Encoding: gzip") + gzip.compress(BODY), bytes(65_536)),
                {"ok"},
                id="after-the-end-of-gzip",
            ),
            pytest.param(
                says(response(gzip.compress(bytes(200 * MIB)), "Content-Encoding: gzip")),
                {FetchCode.TOO_LARGE},
                id="gzip-bomb",
            ),
        ],
    )
    async def test_endless_answers_cost_no_memory(
        self, store_allowed: Settings, store_host: RawHost, answer: object, codes: set[str]
    ):
        # Given a host that never ends
        store_host.answer = answer
        before = psutil.Process().memory_info().rss
        # When a picture is fetched from it
        started = time.monotonic()
        found = await outcome(store_allowed, store_host.url())
        # Then that ends long before the deadline, with little kept
        assert found in codes
        assert time.monotonic() - started < 5
        assert psutil.Process().memory_info().rss - before < 50 * MIB

    async def test_a_hostile_host_does_not_hold_up_a_good_one(self, tmp_path: Path, store_host: RawHost):
        # Given twenty conversations with a host that drips
        slow = RawHost("127.0.0.3", drips(response(b""), b"x"))
        settings = settings_with(tmp_path, fetch_allow="127.0.0.0/8", fetch_timeout=2.0)
        async with listening(slow), ImageFetcher(settings) as fetcher:
            stuck = [
                asyncio.create_task(fetcher.fetch(ImageSource(SourceKind.URL, slow.url()))) for _ in range(20)
            ]
            # When the store is asked meanwhile
            fetched = await fetcher.fetch(ImageSource(SourceKind.URL, store_host.url()))
            # Then it answers, and the others end by their time
            assert fetched.data == BODY
            ends = await asyncio.gather(*stuck, return_exceptions=True)
        assert {getattr(end, "code", "ok") for end in ends} == {UnavailableCode.FETCH_TIMEOUT}
