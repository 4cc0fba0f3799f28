"""English interface strings and their translations, out of the wheels of four packages: rows for the translation part of the mixture study.

    pip download --no-deps -d wheels django==5.2.19 wagtail==8.0.1 sphinx==9.0.4 djangorestframework==3.18.3
    pip install polib
    python benchmarks/po_rows.py wheels rows.jsonl

The wheels are read and not installed. Left out: fuzzy, obsolete and untranslated entries, plural forms, variants of English, translations that equal
their source, strings of less than 4 or more than 80 bytes. Tags of one language are merged (zh_CN and zh_Hans, nb and no). Nothing of it ships.
"""

import json
import re
import sys
import tempfile
import zipfile
from pathlib import Path

import polib

SAME = {"zh_cn": "zh_hans", "zh_tw": "zh_hant", "no": "nb", "nb_no": "nb"}
COUNTRIES = re.compile(r"^(cs_cz|da_dk|el_gr|et_ee|fa_ir|fi_fi|fr_fr|gl_es|he_il|hi_in|hr_hr|hu_hu|id_id|is_is|it_it|ja_jp|ko_kr|lt_lt|pl_pl|ro_ro|ru_ru|sk_sk|sl_si|sv_se|tr_tr|uk_ua|vi_vn)$")  # fmt: skip


def language_of(tag):
    tag = tag.replace("-", "_").replace("@", "_").lower()
    tag = SAME.get(tag, tag)
    return tag[:2] if COUNTRIES.match(tag) else tag


def catalogues(folder):
    """Every catalogue in the wheels, the readable form where there are both."""
    for wheel in sorted(Path(folder).glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.endswith(".po")] or [n for n in archive.namelist() if n.endswith(".mo")]
            for name in names:
                place = re.search(r"/([^/]+)/LC_MESSAGES/", name)
                if place is None:
                    continue
                with tempfile.NamedTemporaryFile(suffix=name[-3:]) as file:
                    file.write(archive.read(name))
                    file.flush()
                    try:
                        yield (
                            language_of(place[1]),
                            (polib.mofile if name.endswith(".mo") else polib.pofile)(file.name, encoding="utf-8"),
                        )
                    except (OSError, UnicodeDecodeError) as error:
                        print(f"left out {wheel.name}: {name}: {error}", file=sys.stderr)


def main(folder, out):
    seen, rows = set(), []
    for language, entries in catalogues(folder):
        if re.match(r"^en(_|$)", language):
            continue
        for entry in entries:
            source, target = entry.msgid.strip(), entry.msgstr.strip()
            fits = all(4 <= len(text.encode()) <= 80 for text in (source, target))
            if not fits or source == target or entry.obsolete or "fuzzy" in getattr(entry, "flags", []):
                continue
            if (language, source) not in seen:
                seen.add((language, source))
                rows.append({"lang": language, "source": source, "target": target})
    Path(out).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    sizes = {}
    for row in rows:
        sizes[row["lang"]] = sizes.get(row["lang"], 0) + 1
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    print(f"{len(rows)} rows, {len(sizes)} languages: {', '.join(f'{name} {count}' for name, count in ordered)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
