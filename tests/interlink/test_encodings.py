"""Text in any encoding is read right, or the doubt is stated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.encodings import decode
from interlink.subtitles.files import parse
from subtitle_files import WRITERS

# Language -> two lines of speech, and the encodings in use for it.
TEXTS = {
    "ru": ("Сначала аккуратно очистите лук.", "Потом нарежьте его кубиками.", "cp1251 koi8-r iso8859-5 cp866"),
    "uk": ("Спочатку обережно очистіть цибулю.", "Потім наріжте її кубиками.", "cp1251 koi8-u"),
    "pl": ("Najpierw obierz cebulę, żeby była gładka.", "Potem pokrój ją w kostkę, źle ścięta.", "cp1250 iso8859-2"),
    "cs": ("Nejprve oloupejte cibuli.", "Pak ji nakrájejte na kostičky, šťáva teče.", "cp1250 iso8859-2"),
    "ja": ("まず玉ねぎの皮をむきます。", "次に細かく切りましょう。", "shift_jis euc_jp iso2022_jp"),
    "ko": ("먼저 양파 껍질을 벗깁니다.", "그리고 잘게 썰어 주세요.", "cp949 euc_kr"),
    "zh": ("首先把洋葱去皮。", "然后切成小块，放进锅里。", "gb18030 gbk"),
    "zh-TW": ("首先把洋蔥去皮。", "然後切成小塊，放進鍋裡。", "big5"),
    "el": ("Πρώτα καθαρίστε το κρεμμύδι.", "Μετά κόψτε το σε κύβους.", "cp1253 iso8859-7"),
    "tr": ("Önce soğanı dikkatlice soyun.", "Sonra küçük küpler halinde doğrayın.", "cp1254 iso8859-9"),
    "he": ("קודם מקלפים את הבצל.", "אחר כך חותכים אותו לקוביות.", "cp1255 iso8859-8"),
    "ar": ("أولا قشر البصل بعناية.", "ثم قطعه إلى مكعبات صغيرة.", "cp1256 iso8859-6"),
    "fr": ("D'abord, épluchez l'oignon.", "Ça brûle : crème brûlée.", "cp1252 iso8859-15 mac_roman cp850"),
    "de": ("Zuerst schälen Sie die Zwiebel.", "Dann würfeln, schön groß.", "cp1252 mac_roman cp850"),
}
UNICODE = "utf-8 utf-8-sig utf-16 utf-16-le utf-16-be"
CASES = [(language, encoding) for language, (*_, names) in TEXTS.items() for encoding in f"{names} {UNICODE}".split()]
FORMATS = ("srt", "vtt", "ssa", "ttml", "sbv")


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_every_encoding_in_every_format_gives_the_right_text_or_a_doubt(language: str, encoding: str) -> None:
    one, two, _ = TEXTS[language]
    for form in FORMATS:
        for said in ([one], [one, two]):
            shown = [(float(n), n + 0.5, text) for n, text in enumerate(said, start=1)]
            text = WRITERS[form](shown).replace(' encoding="UTF-8"', "")
            for hint, likely in ((language[:2], ()), ("", ()), ("", (language[:2],)), ("", ("en",))):
                found = parse(text.encode(encoding), hint, likely)
                right = [cue.text for cue in found.cues] == said
                doubted = any("encoding" in problem or "damaged" in problem for problem in found.problems)
                assert right or doubted, (form, said, hint, likely, found)


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        *(("ru", "cp1251"), ("ru", "koi8-r"), ("pl", "cp1250"), ("pl", "iso8859-2"), ("ja", "shift_jis")),
        *(("ja", "euc_jp"), ("zh", "gb18030"), ("zh-TW", "big5"), ("ko", "cp949"), ("el", "cp1253"), ("tr", "cp1254")),
        *(("he", "cp1255"), ("ar", "cp1256"), ("fr", "cp1252"), ("de", "cp1252")),
    ],
)
def test_the_language_in_the_name_makes_the_usual_encodings_certain(language: str, encoding: str) -> None:
    text = "\n".join(TEXTS[language][:2])

    found = decode(text.encode(encoding), language=language[:2])

    assert (found.text, found.doubt) == (text, "")


def test_a_likely_language_makes_an_encoding_certain_only_if_it_reads_the_text_best() -> None:
    russian, greek = TEXTS["ru"][0].encode("cp1251"), TEXTS["el"][0].encode("cp1253")

    assert decode(russian, likely=("ru",)).doubt == ""
    assert decode(russian).doubt == "its encoding is not stated; read as cp1251"
    assert decode(greek, likely=("ru",)).doubt


def test_a_declared_encoding_counts() -> None:
    assert decode("cebulę".encode("cp1250"), declared="windows-1250").text == "cebulę"
    assert decode("cebulę".encode("cp1250"), declared="no-such-encoding").doubt


def test_a_damaged_utf8_file_is_read_as_utf8_and_a_western_one_as_windows_1252() -> None:
    assert decode("é è ü".encode() + b"\xe9").text == "é è ü\ufffd"
    assert decode("é".encode() + b" \xe9").text == "Ã© é"  # as many good as bad: not utf-8
    assert decode(b"caf\xe9").text == "café"
    assert decode(b"\x7f\x7f\xe9").text == "\x7f\x7fé"
    assert decode(b"\xef\xbb\xbfcaf\xff").text == "caf\ufffd"
    assert decode(b"\xfe\xff" + "é".encode("utf-16-be")).text == "é"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["", "ru", "ja", "en", "xx"]))
def test_no_bytes_raise(data: bytes, language: str) -> None:
    assert isinstance(decode(data, language=language).text, str)
