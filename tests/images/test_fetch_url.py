"""Pictures by URL: only public hosts, or those that the operator named; within limits; clear reasons."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
import respx
from http_host import Host, cut_short, drip, endless, page, redirect, running_host, zipped

from orchestrator.errors import FetchError, FetchUnavailable, TagdeskError
from orchestrator.images.addresses import Address
from orchestrator.images.codes import FetchCode, UnavailableCode
from orchestrator.images.fetch import MAX_REDIRECTS, ImageFetcher
from orchestrator.records import FetchedImage, ImageSource, SourceKind
from orchestrator.settings import Settings

pytestmark = pytest.mark.anyio

BODY = b"\x89PNG not really, but these bytes exactly"


def settings_with(tmp_path: Path, **changes: object) -> Settings:
    needed = {
        "database_url": "mysql+asyncmy://unused/unused",
        "redis_url": "redis://unused",
        "triton_url": "unused:1",
        "model_repository": tmp_path / "models",
        "blob_dir": tmp_path / "blobs",
        "max_image_bytes": 100_000,
        "fetch_timeout": 10.0,
    }
    return Settings.model_validate(needed | changes)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        yield running


async def fetch(settings: Settings, url: str, **options) -> FetchedImage:
    async with ImageFetcher(settings, **options) as fetcher:
        return await fetcher.fetch(ImageSource(SourceKind.URL, url))


async def failure(settings: Settings, url: str, **options) -> TagdeskError:
    with pytest.raises(TagdeskError) as raised:
        await fetch(settings, url, **options)
    return raised.value


@pytest.fixture
def allowed(tmp_path) -> Settings:
    return settings_with(tmp_path, fetch_allow="127.0.0.0/8")


@pytest.fixture
def closed(tmp_path) -> Settings:
    return settings_with(tmp_path)


async def test_bytes_and_hash_of_an_allowed_private_host(allowed, host) -> None:
    host.pages["/a.png"] = page(BODY)

    fetched = await fetch(allowed, host.url("/a.png"))

    assert fetched == FetchedImage(BODY, hashlib.sha256(BODY).hexdigest())


async def test_a_host_may_be_allowed_by_its_name(tmp_path, host) -> None:
    host.pages["/a.png"] = page(BODY)
    settings = settings_with(tmp_path, fetch_allow="LocalHost")

    async def resolver(_name: str, _port: int) -> tuple[Address, ...]:
        return (ip_address("127.0.0.1"),)

    assert (await fetch(settings, host.url("/a.png", name="localhost"), resolver=resolver)).data == BODY
    refusal = await failure(settings, host.url("/a.png", name="other.example"), resolver=resolver)
    assert refusal.code == FetchCode.PRIVATE_ADDRESS


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0",
     "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
     "[2002:7f00:1::]", "127.0.0.1.", "１２７.0.0.1"],
)  # fmt: skip
async def test_the_loopback_in_every_spelling(closed, host, name) -> None:
    host.pages["/a.png"] = page(BODY)

    refusal = await failure(closed, host.url("/a.png", name=name))

    assert isinstance(refusal, FetchError | FetchUnavailable)
    assert refusal.code in (
        FetchCode.PRIVATE_ADDRESS,
        FetchCode.URL_REFUSED,
        UnavailableCode.FETCH_UNAVAILABLE,
    )
    assert host.asked == []


@pytest.mark.parametrize(
    "name",
    ["10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254", "100.100.100.200", "168.63.129.16",
     "192.0.0.192", "224.0.0.1", "255.255.255.255", "198.18.0.1", "[fd00:ec2::254]", "[fe80::1]", "[ff02::1]",
     "[fec0::1]", "[::]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
     "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::f5ff:fffe]"],
)  # fmt: skip
async def test_addresses_that_are_not_public(closed, name) -> None:
    refusal = await failure(closed, f"http://{name}/latest/meta-data/")

    assert isinstance(refusal, FetchError)
    assert refusal.code == FetchCode.PRIVATE_ADDRESS


async def test_a_name_is_judged_by_what_it_resolves_to_when_connecting(closed, host) -> None:
    # Given a name server that says something public first, and the loopback from then on
    host.pages["/a.png"] = page(BODY)
    answers = [ip_address("93.184.216.34")]
    asked = []

    async def rebinding(name: str, _port: int) -> tuple[Address, ...]:
        asked.append(name)
        return (answers.pop() if answers else ip_address("127.0.0.1"),)

    assert await rebinding("looked-at-before.example", 80) == (ip_address("93.184.216.34"),)
    refusal = await failure(closed, host.url("/a.png", name="looked-at-before.example"), resolver=rebinding)

    # Then the address that would be connected to decides
    assert refusal.code == FetchCode.PRIVATE_ADDRESS
    assert asked == ["looked-at-before.example"] * 2
    assert host.asked == []


async def test_only_the_permitted_of_several_addresses_is_connected_to(tmp_path, host) -> None:
    host.pages["/a.png"] = page(BODY)
    settings = settings_with(tmp_path, fetch_allow="127.0.0.1/32")

    async def mixed(_name: str, _port: int) -> tuple[Address, ...]:
        return ip_address("10.0.0.1"), ip_address("::1"), ip_address("127.0.0.1")

    assert (await fetch(settings, host.url("/a.png", name="store.example"), resolver=mixed)).data == BODY


async def test_a_redirect_is_followed(allowed, host) -> None:
    host.pages |= {
        "/a": redirect("/b?x=1"),
        "/b?x=1": redirect(host.url("/c"), status="308 X"),
        "/c": page(BODY),
    }

    assert (await fetch(allowed, host.url("/a"))).data == BODY
    assert host.asked == ["/a", "/b?x=1", "/c"]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://10.0.0.1/x", FetchCode.PRIVATE_ADDRESS),
        ("http://169.254.169.254/latest/meta-data/", FetchCode.PRIVATE_ADDRESS),
        ("http://[::1]/x", FetchCode.PRIVATE_ADDRESS),
        ("file:///etc/passwd", FetchCode.URL_REFUSED),
        ("gopher://example.org/x", FetchCode.URL_REFUSED),
        ("http://user:password@example.org/x", FetchCode.URL_REFUSED),
    ],
)
async def test_a_redirect_is_judged_as_the_first_address(allowed, host, target, code) -> None:
    host.pages["/a"] = redirect(target)

    refusal = await failure(allowed, host.url("/a"))

    assert isinstance(refusal, FetchError)
    assert refusal.code == code


async def test_redirects_end(allowed, host) -> None:
    host.pages["/loop"] = redirect("/loop")

    refusal = await failure(allowed, host.url("/loop"))

    assert refusal.code == FetchCode.TOO_MANY_REDIRECTS
    assert len(host.asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "url",
    ["ftp://example.org/a.png", "file:///etc/passwd", "http://", "http:///a.png", "a.png", "",
     "http://user@example.org/", "http://user:password@example.org/", "http://exa mple.org/",
     "http://example.org:99999/", "javascript:alert(1)", "http://[::1/"],
)  # fmt: skip
async def test_urls_that_are_not_fetched_at_all(closed, url) -> None:
    refusal = await failure(closed, url)

    assert isinstance(refusal, FetchError)
    assert refusal.code == FetchCode.URL_REFUSED


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, FetchError, FetchCode.NOT_FOUND),
        (410, FetchError, FetchCode.NOT_FOUND),
        (400, FetchError, FetchCode.HTTP_ERROR),
        (401, FetchError, FetchCode.HTTP_ERROR),
        (403, FetchError, FetchCode.HTTP_ERROR),
        (451, FetchError, FetchCode.HTTP_ERROR),
        (304, FetchError, FetchCode.HTTP_ERROR),
        (408, FetchUnavailable, UnavailableCode.FETCH_UNAVAILABLE),
        (429, FetchUnavailable, UnavailableCode.FETCH_UNAVAILABLE),
        (500, FetchUnavailable, UnavailableCode.FETCH_UNAVAILABLE),
        (503, FetchUnavailable, UnavailableCode.FETCH_UNAVAILABLE),
    ],
)
async def test_what_a_status_means(closed, status, error, code) -> None:
    with respx.mock:
        respx.get("https://pictures.example/a.png").respond(status)

        refusal = await failure(closed, "https://pictures.example/a.png")

    assert type(refusal) is error
    assert refusal.code == code


async def test_a_public_host(closed) -> None:
    with respx.mock:
        respx.get("https://pictures.example/a.png").respond(200, content=BODY)

        assert (await fetch(closed, "https://pictures.example/a.png#part")).data == BODY


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (httpx.ConnectError("refused"), UnavailableCode.FETCH_UNAVAILABLE),
        (httpx.ReadError("reset"), UnavailableCode.FETCH_UNAVAILABLE),
        (httpx.ConnectTimeout("late"), UnavailableCode.FETCH_TIMEOUT),
        (httpx.ReadTimeout("late"), UnavailableCode.FETCH_TIMEOUT),
    ],
)
async def test_network_trouble_is_worth_another_try(closed, trouble, code) -> None:
    with respx.mock:
        respx.get("https://pictures.example/a.png").mock(side_effect=trouble)

        refusal = await failure(closed, "https://pictures.example/a.png")

    assert isinstance(refusal, FetchUnavailable)
    assert refusal.code == code


async def test_a_name_that_nobody_knows_is_worth_another_try(closed) -> None:
    async def unknown(_name: str, _port: int) -> tuple[Address, ...]:
        raise OSError("name not known")

    refusal = await failure(closed, "http://nobody.example/a.png", resolver=unknown)

    assert isinstance(refusal, FetchUnavailable)


async def test_a_stated_length_over_the_limit_is_not_downloaded(closed) -> None:
    with respx.mock:
        respx.get("https://pictures.example/a.png").respond(200, headers={"Content-Length": "100001"})

        assert (await failure(closed, "https://pictures.example/a.png")).code == FetchCode.TOO_LARGE


async def test_an_endless_body_is_cut_at_the_limit(allowed, host) -> None:
    host.pages["/a"] = endless()

    assert (await failure(allowed, host.url("/a"))).code == FetchCode.TOO_LARGE


async def test_a_body_of_exactly_the_limit(allowed, host) -> None:
    host.pages |= {"/full": page(bytes(100_000)), "/over": page(bytes(100_001))}

    assert len((await fetch(allowed, host.url("/full"))).data) == 100_000
    assert (await failure(allowed, host.url("/over"))).code == FetchCode.TOO_LARGE


async def test_a_slow_drip_ends_at_the_deadline(tmp_path, host) -> None:
    host.pages["/a"] = drip()
    settings = settings_with(tmp_path, fetch_allow="127.0.0.1", fetch_timeout=0.5)

    started = time.monotonic()
    refusal = await failure(settings, host.url("/a"))

    assert (type(refusal), refusal.code) == (FetchUnavailable, UnavailableCode.FETCH_TIMEOUT)
    assert time.monotonic() - started < 5


async def test_a_host_that_never_answers(tmp_path, host) -> None:
    async def silence(_writer: asyncio.StreamWriter, _path: str) -> None:
        await asyncio.Event().wait()

    host.pages["/a"] = silence
    settings = settings_with(tmp_path, fetch_allow="127.0.0.1", fetch_timeout=0.3)

    assert (await failure(settings, host.url("/a"))).code == UnavailableCode.FETCH_TIMEOUT


async def test_a_body_that_ends_too_early_is_worth_another_try(allowed, host) -> None:
    host.pages["/a"] = cut_short(BODY, missing=10)

    assert isinstance(await failure(allowed, host.url("/a")), FetchUnavailable)


async def test_compression_that_was_not_asked_for_is_undone(allowed, host) -> None:
    host.pages["/a"] = zipped(BODY)

    assert (await fetch(allowed, host.url("/a"))).data == BODY
    assert "accept-encoding: identity" in host.heads[0].lower()


async def test_a_gzip_bomb_stops_at_the_limit(allowed, host) -> None:
    host.pages["/a"] = zipped(bytes(50_000_000))

    assert (await failure(allowed, host.url("/a"))).code == FetchCode.TOO_LARGE


@pytest.mark.parametrize(
    "answer",
    [
        page(b"xx", headers=("Content-Encoding: br",)),
        page(b"no gzip", headers=("Content-Encoding: gzip",)),
        page(b"xx", headers=("Content-Encoding: gzip, gzip",)),
    ],
    ids=["brotli", "not-gzip", "twice"],
)
async def test_compression_that_cannot_be_undone(allowed, host, answer) -> None:
    host.pages["/a"] = answer

    assert (await failure(allowed, host.url("/a"))).code == FetchCode.ENCODING_UNSUPPORTED


async def test_an_empty_body_is_left_to_the_decoder(allowed, host) -> None:
    host.pages["/a"] = page(b"")

    assert (await fetch(allowed, host.url("/a"))).data == b""


async def test_cookies_are_neither_kept_nor_sent(allowed, host) -> None:
    host.pages["/a"] = page(BODY, headers=("Set-Cookie: who=you; Path=/",))
    async with ImageFetcher(allowed) as fetcher:
        for _ in range(2):
            await fetcher.fetch(ImageSource(SourceKind.URL, host.url("/a")))

    assert not any("cookie" in head.lower() for head in host.heads)


async def test_a_proxy_of_the_environment_is_not_used(closed, host, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", host.url(""))
    monkeypatch.setenv("ALL_PROXY", host.url(""))

    assert (await failure(closed, "http://10.0.0.1/a.png")).code == FetchCode.PRIVATE_ADDRESS
    assert host.asked == []
