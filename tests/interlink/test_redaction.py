"""Secrets of URLs, texts and recipes are removed; what says where a thing comes from stays."""

from __future__ import annotations

import pytest

from interlink.redaction import REDACTED, has_user_info, redact_data, redact_text, redact_url, redacted_keys


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
        ("https://a.example/x.mp4?token=s3cr3t&id=7", "https://a.example/x.mp4?id=7"),
        ("https://ann:pass@a.example:81/x.mp4", "https://a.example:81/x.mp4"),
        ("https://a/x?X-Amz-Signature=1f&X-Amz-Credential=k&part=2", "https://a/x?part=2"),
        ("https://a/x?Policy=p&Signature=s&Key-Pair-Id=k&v=1", "https://a/x?v=1"),
        ("https://a/x?sv=2021&sig=abc%3D&name=stir", "https://a/x?sv=2021&name=stir"),
        ("https://a/x?hdnea=st=1~exp=2~hmac=3", "https://a/x"),
        ("https://a/x?access_token=1&author=ann&keyword=soup&design=a", "https://a/x?author=ann&keyword=soup&design=a"),
        ("https://a/x?api_key=1&t=30&lang=en", "https://a/x?t=30&lang=en"),
        ("https://a/x?q=eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "https://a/x"),
        ("https://a/x;jsessionid=1F;page=2?v=1", "https://a/x;page=2?v=1"),
        ("https://a/x#access_token=1", "https://a/x"),
        ("https://a/x?to=https%3A%2F%2Fb%2Fy%3Fsig%3D1&v=1", "https://a/x?v=1"),
        ("https://a/x?to=/y?sig=1", "https://a/x"),
        ("https://a/x?to=https://b/y", "https://a/x?to=https://b/y"),
    ],
)
def test_signatures_tokens_and_user_info_leave_a_url(url: str, kept: str) -> None:
    assert redact_url(url) == kept


def test_a_text_loses_the_secrets_of_its_urls_and_of_the_item() -> None:
    url = "https://a.example/x.mp4?token=s3cr3t%2Bvalue&id=7"

    text = redact_text(f"Cannot open {url} (token s3cr3t+value, item 7), see http://u:p@b/c?sig=1", url)

    assert "s3cr3t" not in text
    assert "u:p" not in text and "sig" not in text
    assert "https://a.example/x.mp4?id=7" in text and "item 7" in text


def test_a_recipe_loses_what_names_a_secret_and_says_where_it_was() -> None:
    recipe = {
        "source": {"path": "s3://key:secret@bucket/x"},
        "download": {"ydl_options": {
            "http_headers": {"Authorization": "Bearer x", "Accept-Language": "en", "Cookie": "a=b"},
            "extractor_args": {"youtube": {"po_token": ["web+abc"], "player_client": ["web"]}},
        }},
    }  # fmt: skip

    kept = redact_data(recipe)

    options = kept["download"]["ydl_options"]
    assert options["http_headers"] == {"Authorization": REDACTED, "Accept-Language": "en", "Cookie": REDACTED}
    assert options["extractor_args"] == {"youtube": {"po_token": REDACTED, "player_client": ["web"]}}
    assert kept["source"]["path"] == f"s3://{REDACTED}@bucket/x"
    assert set(redacted_keys(kept)) == {
        "source.path",
        "download.ydl_options.http_headers.Authorization",
        "download.ydl_options.http_headers.Cookie",
        "download.ydl_options.extractor_args.youtube.po_token",
    }
    assert list(redacted_keys(recipe)) == []


def test_user_info_is_found_in_broken_urls_too() -> None:
    assert has_user_info("http://a:b@c/x")
    assert has_user_info("http://a@[c/x")
    assert not has_user_info("http://c/x@y")
