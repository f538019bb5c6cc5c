"""Nobody but the browser that was opened may ask the app anything: it reads the user's files."""

import pytest

from emscout.app.guard import REPORT_POLICY

ADDRESSES = ["/", "/locate", "/folder?path=/", "/job", "/static/style.css", "/locate/state", "/nowhere"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_without_the_token_nothing_is_said(client_without_token, address):
    answer = client_without_token.get(address)
    assert answer.status_code == 403
    assert "terminal" in answer.text


@pytest.mark.parametrize("token", ["", "wrong", "the-toke", "ünïcödé"])
def test_a_wrong_token_opens_nothing(client_without_token, token):
    assert client_without_token.get("/", params={"token": token}).status_code == 403
    client_without_token.cookies.set("emscout-8123", token.encode("ascii", "replace").decode())
    assert client_without_token.get("/").status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(client_without_token):
    answer = client_without_token.get("/locate", params={"token": "the-token", "a": "b"}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/locate?a=b"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client_without_token.get("/locate").status_code == 200


def test_the_redirect_stays_on_this_computer(client_without_token):
    answer = client_without_token.get("//evil.example/", params={"token": "the-token"}, follow_redirects=False)
    assert not answer.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize("host", ["evil.example:8123", "127.0.0.1:9999", "localhost", "[::1]:8123", ""])
def test_a_foreign_host_is_refused_even_with_the_cookie(client, host):
    assert client.get("/folder", headers={"Host": host}).status_code == 403


def test_localhost_is_this_computer_too(client):
    assert client.get("/job", headers={"Host": "localhost:8123", "Cookie": "emscout-8123=the-token"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1:8123", "http://127.0.0.1:9999", "null"])
def test_a_foreign_page_is_refused_even_with_the_cookie(client, origin):
    assert client.post("/job/cancel", headers={"Origin": origin}).status_code == 403


def test_its_own_pages_may_ask(client):
    assert client.post("/job/cancel", headers={"Origin": "http://127.0.0.1:8123"}).status_code == 200


def test_no_page_may_load_anything_from_elsewhere_or_be_framed(client):
    for address in ADDRESSES:
        headers = client.get(address).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_report_is_shut_off_from_the_app():
    assert "sandbox" in REPORT_POLICY
    assert "allow-same-origin" not in REPORT_POLICY
