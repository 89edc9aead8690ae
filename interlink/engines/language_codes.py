"""Language tags in one form: containers write ISO 639-2, subtitle files ISO 639-1 with or without a region."""

from __future__ import annotations

# ISO 639-2 codes of common languages -> ISO 639-1.
PAIRS = (
    "eng=en spa=es deu=de ger=de fra=fr fre=fr ita=it por=pt nld=nl dut=nl rus=ru ukr=uk pol=pl ces=cs cze=cs tur=tr "
    "ara=ar heb=he hin=hi ben=bn jpn=ja kor=ko zho=zh chi=zh vie=vi tha=th ind=id swe=sv nor=no nob=nb dan=da fin=fi "
    "ell=el gre=el hun=hu ron=ro rum=ro bul=bg hrv=hr srp=sr slk=sk slo=sk slv=sl lit=lt lav=lv est=et fas=fa per=fa"
)
SHORT = dict(pair.split("=") for pair in PAIRS.split())


def short(language: str) -> str:
    """The primary part of a language tag, in its two-letter form if it has one; empty for `und`."""
    primary = language.replace("_", "-").split("-")[0].casefold()
    return "" if primary == "und" else SHORT.get(primary, primary)
