"""Which records mean the same work: identifiers, titles, authors, and merging what several sources say about one paper.

Imports errors, records and the standard library. Refuses to fetch anything and to guess: what does not clearly agree stays two works.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from sovereign.errors import BadInput
from sovereign.records import Paper, PaperKind

# --- titles ---

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,200}>")
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega".split()
)
_TEX_GREEK = re.compile(rf"\\(?:var)?({'|'.join(_GREEK)})(?![A-Za-z])", re.IGNORECASE)
_ONE_GREEK = re.compile(r"(?<![^\W_])[α-ω](?![^\W_])")
_TEX_COMMAND = re.compile(r"\\[A-Za-z]+\*?\s?")
_TEX_ACCENT = re.compile(r"\\[\"'`^~=.]")
_STATE_MARK = re.compile(r"^\W*(?:retracted|withdrawn)(?: (?:article|paper|chapter))?\W*:\s*", re.IGNORECASE)
_NOT_WORD = re.compile(r"[\W_]+")
_FOLD = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})


def fold(text: str) -> str:
    """Lower case without accents; letters of other scripts stay."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_FOLD))
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().translate(_FOLD)


def normalise_title(title: str) -> str:
    """Words only: markup, TeX, accents, case, punctuation, "&" and a publisher's "RETRACTED:" do not tell two titles apart. May be empty."""
    text = html.unescape(html.unescape(title))
    text = _STATE_MARK.sub("", _TAG.sub("", text))
    text = _TEX_ACCENT.sub("", _TEX_GREEK.sub(r" \1 ", text))
    text = _TEX_COMMAND.sub("", text).replace("$", "").replace("{", "").replace("}", "").replace("&", " and ")
    text = _ONE_GREEK.sub(lambda m: unicodedata.name(m[0]).split()[-1].lower(), fold(text))
    return _NOT_WORD.sub(" ", text).strip()


# --- identifiers ---

# https://info.arxiv.org/help/arxiv_identifier.html: YYMM.NNNN from 0704 to 1412, YYMM.NNNNN from 1501, archive/YYMMNNN before.
_OLD_ARCHIVES = (
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs|dg-ga|econ|eess|funct-an|"
    "gr-qc|hep-ex|hep-lat|hep-ph|hep-th|math-ph|math|mtrl-th|nlin|nucl-ex|nucl-th|patt-sol|physics|plasm-ph|q-alg|q-bio|q-fin|quant-ph|"
    "solv-int|stat|supr-con"
)
_ID = rf"(?P<new>\d{{4}}\.\d{{4,5}})(?!\d)|(?P<old>(?:{_OLD_ARCHIVES})(?:\.[a-z]{{2}})?/\d{{7}})(?!\d)"
_VERSION = r"(?:v(?P<version>[1-9]\d{0,2})(?!\d))?"
_BARE = re.compile(rf"(?:{_ID}){_VERSION}(?:\.pdf|\.html)?(?:\s*\[[^\]]*\])?", re.IGNORECASE)
_MARKED = re.compile(
    rf"arxiv(?:\.org/(?:abs|pdf|html|e-print|src|ps|format|list)/|\s*[:.]?\s*(?:preprint\s+)?(?:arxiv:\s*)?)(?:{_ID}){_VERSION}", re.I
)
_DOI = re.compile(r"10\.\d{4,9}(?:\.\d+)*/[^\s<>\"]+", re.IGNORECASE)
_ARXIV_DOI = "10.48550/arxiv."


def parse_arxiv_id(text: str) -> tuple[str, int | None] | None:
    """(id without version, version or None) from an id, an arXiv URL, "arXiv:..." in a sentence, or an arXiv DOI; else None.

    A bare number counts only when it is the whole text, so that "2410.17954" inside another DOI or a table is not taken for a paper.
    """
    text = unquote(text.strip())
    match = _BARE.fullmatch(text) or _MARKED.search(text)
    if match is None:
        return None
    version = int(match["version"]) if match["version"] else None
    if match["new"]:
        return (match["new"], version) if _plausible(match["new"]) else None
    archive, _, number = match["old"].lower().partition("/")
    if not 1 <= int(number[2:4]) <= 12:
        return None
    return f"{archive.partition('.')[0]}/{number}", version


def _plausible(number: str) -> bool:
    yymm, _, sequence = number.partition(".")
    in_time = "0704" <= yymm < "9101" and 1 <= int(yymm[2:]) <= 12
    return in_time and len(sequence) == (5 if yymm >= "1501" else 4) and int(sequence) > 0


def parse_doi(text: str) -> str | None:
    """A DOI in lower case (DOIs do not tell case apart: DOI handbook 2.4) from a DOI, a URL or a sentence; else None.

    An arXiv DOI (10.48550/arXiv.X) is a DOI too; parse_arxiv_id, paper_id_for and same_work read the arXiv id out of it.
    """
    match = _DOI.search(unquote(text.strip()))
    if match is None:
        return None
    doi = match[0].lower()
    if "doi.org/" in text.lower() or text.lower().lstrip().startswith("http"):
        doi = re.sub(r"(?:/(?:full|abstract|pdf|meta|epdf))?(?:\.pdf)?$", "", re.split(r"[?#]", doi)[0])
    return _trim(doi) or None


def _trim(doi: str) -> str:
    """Without the sentence's punctuation; a closing bracket belongs to the DOI when its opening one does (10.1016/0370-2693(93)90001-x)."""
    while doi:
        last = doi[-1]
        unbalanced = last in ")]}" and doi.count(last) > doi.count({")": "(", "]": "[", "}": "{"}[last])
        if last not in ".,;:'*\\’”" and not unbalanced:
            return doi
        doi = doi[:-1]
    return ""


# DOI prefixes of preprint servers: such a DOI and a publisher's DOI may name two versions of one work.
_PREPRINT_PREFIXES = frozenset({
    "10.48550", "10.1101", "10.2139", "10.21203", "10.36227", "10.20944", "10.26434", "10.31219", "10.31234", "10.31235", "10.22541",
    "10.64898", "10.5281",
})  # fmt: skip


def is_preprint_doi(doi: str) -> bool:
    return doi.partition("/")[0] in _PREPRINT_PREFIXES


@dataclass(frozen=True)
class Identifiers:
    """What one record says about itself; `doi` is never an arXiv DOI (that is the arXiv id)."""

    arxiv: str | None
    version: int | None
    doi: str | None


def identifiers(paper: Paper) -> Identifiers:
    """From the fields, else from the paper_id and the URL."""
    arxiv, version = None, paper.version
    doi = parse_doi(paper.doi) if paper.doi else None
    candidates = [paper.arxiv_id or "", doi if doi and doi.startswith(_ARXIV_DOI) else "", paper.paper_id]
    if paper.kind is not PaperKind.NOTE and paper.url and "arxiv.org/" in paper.url.lower():
        candidates.append(paper.url)
    for text in candidates:
        if text.startswith(("file:", "note:", "s2:", "openalex:", "title:")):
            continue
        if text and (parsed := parse_arxiv_id(text)):
            arxiv, version = parsed[0], version or parsed[1]
            break
    if doi is None and paper.paper_id.startswith("doi:"):
        doi = parse_doi(paper.paper_id[4:])
    return Identifiers(arxiv, version, None if doi and doi.startswith(_ARXIV_DOI) else doi)


def paper_id_for(
    arxiv_id: str | None = None,
    doi: str | None = None,
    title: str | None = None,
    authors: Sequence[str] = (),
    year: int | None = None,
    fallback: str | None = None,
) -> str:
    """The one name of a work: arXiv id, else DOI, else the service's own id (`fallback`), else a digest of title, first author and year.

    Raises BadInput when there is nothing to name the work by.
    """
    parsed_doi = parse_doi(doi) if doi else None
    for text in (arxiv_id, parsed_doi if parsed_doi and parsed_doi.startswith(_ARXIV_DOI) else None):
        if text and (parsed := parse_arxiv_id(text)):
            return f"arxiv:{parsed[0]}"
    if parsed_doi:
        return f"doi:{parsed_doi}"
    if fallback:
        return fallback
    words = normalise_title(title or "")
    if not words:
        raise BadInput("A paper needs an arXiv id, a DOI, a title or an id of its own.")
    surname = _name(authors[0]).surname if authors else ""
    return "title:" + hashlib.sha256(f"{words}|{surname}|{year or ''}".encode()).hexdigest()[:12]


# --- authors ---

_SUFFIX = frozenset({"jr", "sr", "ii", "iii", "iv", "phd", "md"})


@dataclass(frozen=True)
class _Name:
    surname: str
    initial: str
    words: frozenset[str]


def _name(author: str) -> _Name:
    family, comma, given = author.partition(",")
    words = [w for w in _NOT_WORD.sub(" ", fold(author)).split() if w not in _SUFFIX]
    front = [w for w in _NOT_WORD.sub(" ", fold(family)).split() if w not in _SUFFIX]
    rest = [w for w in _NOT_WORD.sub(" ", fold(given)).split() if w not in _SUFFIX]
    if comma and front and rest:
        return _Name(front[-1], rest[0][0], frozenset(words))
    plain = front or words
    return _Name(plain[-1] if plain else "", plain[0][0] if len(plain) > 1 else "", frozenset(words))


def _same_person(a: _Name, b: _Name) -> bool:
    if not a.surname or not b.surname:
        return False
    if a.surname == b.surname:
        return not a.initial or not b.initial or a.initial == b.initial
    return len(a.words) > 1 and a.words == b.words  # family name first or last


def authors_agree(a: Sequence[str], b: Sequence[str]) -> bool | None:
    """Whether at least half of the shorter list stands in the longer; None when one list is unknown (empty)."""
    ours, theirs = ([n for n in map(_name, names) if n.surname and n.words != {"et", "al"}] for names in (a, b))
    if not ours or not theirs:
        return None
    short, long = sorted((ours, theirs), key=len)
    shared = sum(any(_same_person(x, y) for y in long) for x in short)
    return 2 * shared >= len(short)


# --- the same work ---

_DISTINCTIVE_WORDS = 5  # a shorter title alone ("Introduction", "ExpertFlow") identifies nothing when the authors are unknown


def same_work(a: Paper, b: Paper) -> bool:
    """DOI, then arXiv id, then normalised title with author and year.

    Different arXiv ids, or different publishers' DOIs, are different works whatever the title says. Years may differ by one, or by two
    between a preprint and its publication. A note about a paper is never the paper.
    """
    return _same_identifier(a, b) or _same_title(a, b)


def _same_identifier(a: Paper, b: Paper) -> bool:
    if PaperKind.NOTE in (a.kind, b.kind):
        return a.kind is b.kind and a.paper_id == b.paper_id
    if a.paper_id == b.paper_id:
        return True
    ours, theirs = identifiers(a), identifiers(b)
    return (ours.doi is not None and ours.doi == theirs.doi) or (ours.arxiv is not None and ours.arxiv == theirs.arxiv)


def _same_title(a: Paper, b: Paper) -> bool:
    if PaperKind.NOTE in (a.kind, b.kind):
        return False
    title = normalise_title(a.title)
    if not title or title != normalise_title(b.title) or _identifiers_conflict(a, b) or not _years_agree(a, b):
        return False
    agree = authors_agree(a.authors, b.authors)
    if agree is None:  # notes in drug-safety bulletins share long titles and have no authors: one side must know its authors
        return bool(a.authors or b.authors) and len(title.split()) >= _DISTINCTIVE_WORDS
    return agree


def _identifiers_conflict(a: Paper, b: Paper) -> bool:
    ours, theirs = identifiers(a), identifiers(b)
    if ours.arxiv and theirs.arxiv and ours.arxiv != theirs.arxiv:
        return True
    if ours.doi and theirs.doi and ours.doi != theirs.doi:
        return not (is_preprint_doi(ours.doi) or is_preprint_doi(theirs.doi))
    return False


def _years_agree(a: Paper, b: Paper) -> bool:
    if a.year is None or b.year is None:
        return True
    return abs(a.year - b.year) <= (2 if _is_preprint(a) != _is_preprint(b) else 1)


def _is_preprint(paper: Paper) -> bool:
    ids = identifiers(paper)
    return is_preprint_doi(ids.doi) if ids.doi else ids.arxiv is not None


# --- merging ---

# Whose word counts when several describe one work: the archive that holds it, the registry, then the aggregators; others by name.
SOURCE_RANK = ("arxiv", "crossref", "datacite", "openalex", "semantic_scholar", "local")
_ONE_OF = ("title", "authors", "year", "abstract", "venue", "url", "published", "categories", "about")
_ALL_OF = ("names", "flags", "references", "full_text_urls")

Entry = tuple[str, Paper]


def merge(papers: Sequence[Entry]) -> list[tuple[Paper, tuple[str, ...]]]:
    """One paper per work with the names of the sources that had it, sorted by paper_id; the order of the input does not matter.

    Each field comes from the best-ranked source that has it (provenance says which); a higher arXiv version goes before a lower one of the
    same source; flags, references and full-text addresses are united; the version stated is the highest seen.
    """
    entries = sorted(set(papers), key=_order)
    works = [_merged(work) for work in _grouped(entries)]
    return sorted(works, key=lambda w: (w[0].paper_id, w[0].title, w[1]))


def _order(entry: Entry) -> tuple[Any, ...]:
    source, paper = entry
    rank = SOURCE_RANK.index(source) if source in SOURCE_RANK else len(SOURCE_RANK)
    return rank, source, -(identifiers(paper).version or 0), repr(paper)


def _grouped(entries: list[Entry]) -> list[list[Entry]]:
    """Identifiers first (transitive), then titles (only where the joined works do not contradict each other)."""
    works = _joined(entries, _identifier_keys)
    by_title: dict[str, list[int]] = {}
    for n, work in enumerate(works):
        for title in sorted({normalise_title(p.title) for _, p in work} - {""}):
            by_title.setdefault(title, []).append(n)
    home = list(range(len(works)))  # where the entries of work n have gone
    for title in sorted(by_title):
        numbers = list(dict.fromkeys(home[n] for n in by_title[title]))
        if len(numbers) > 1:
            for moved, into in _joins_by_title(numbers, works).items():
                works[into].extend(works[moved])
                works[moved] = []
                home = [into if h == moved else h for h in home]
    return [w for w in works if w]


def _identifier_keys(entry: Entry) -> Iterable[str]:
    paper = entry[1]
    if paper.kind is PaperKind.NOTE:
        return [f"note {paper.paper_id}"]
    ids = identifiers(paper)
    return [f"id {paper.paper_id}"] + [f"doi {ids.doi}"] * bool(ids.doi) + [f"arxiv {ids.arxiv}"] * bool(ids.arxiv)


def _joined(entries: list[Entry], keys_of: Callable[[Entry], Iterable[str]]) -> list[list[Entry]]:
    parent = list(range(len(entries)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, entry in enumerate(entries):
        for key in keys_of(entry):
            a, b = sorted((root(first.setdefault(key, i)), root(i)))
            parent[b] = a
    groups: dict[int, list[Entry]] = {}
    for i, entry in enumerate(entries):
        groups.setdefault(root(i), []).append(entry)
    return list(groups.values())


def _joins_by_title(numbers: list[int], works: list[list[Entry]]) -> dict[int, int]:
    """{work: the work it joins} among works that share one title. One without authors joins only when exactly one work fits it."""
    known = [n for n in numbers if any(p.authors for _, p in works[n])]
    unknown = [n for n in numbers if n not in known]
    members: dict[int, list[Entry]] = {}
    joins: dict[int, int] = {}
    for n in known + unknown:
        fitting = [m for m, entries in members.items() if _fit(entries, works[n])]
        if len(fitting) == 1 or (fitting and n in known):
            joins[n] = fitting[0]
            members[fitting[0]] = members[fitting[0]] + works[n]
        else:
            members[n] = works[n]
    return joins


def _fit(ours: list[Entry], theirs: list[Entry]) -> bool:
    pairs = [(a, b) for _, a in ours for _, b in theirs]
    same = [(a, b) for a, b in pairs if normalise_title(a.title) == normalise_title(b.title)]
    return bool(same) and all(_same_title(a, b) for a, b in same) and not any(_identifiers_conflict(a, b) for a, b in pairs)


def _merged(work: list[Entry]) -> tuple[Paper, tuple[str, ...]]:
    work = sorted(work, key=_order)
    chosen: dict[str, Any] = {}
    provenance: list[tuple[str, str]] = []
    for field in _ONE_OF:
        best = next(((s, p) for s, p in work if getattr(p, field)), None)
        chosen[field] = getattr(best[1] if best else work[0][1], field)
        if best:
            provenance.append((field, _origin(best, field)))
    for field in _ALL_OF:
        holders = [(s, p) for s, p in work if getattr(p, field)]
        values = dict.fromkeys(v for _, p in holders for v in getattr(p, field))
        chosen[field] = tuple(sorted(values) if field == "flags" else values)
        provenance.extend(dict.fromkeys((field, _origin(holder, field)) for holder in holders))
    identity, named_by = _merged_identity(work)
    kinds = {p.kind for _, p in work}
    kind = PaperKind.PAPER if PaperKind.PAPER in kinds else work[0][1].kind
    paper = replace(work[0][1], **chosen, **identity, kind=kind, provenance=tuple(provenance + named_by))
    return paper, tuple(dict.fromkeys(s for s, _ in work))


def _origin(entry: Entry, field: str) -> str:
    source, paper = entry
    return dict(paper.provenance).get(field, source)


def _merged_identity(work: list[Entry]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    ids = [(entry, identifiers(entry[1])) for entry in work]
    arxiv = next(((e, i.arxiv) for e, i in ids if i.arxiv), None)
    dois = [(e, i.doi) for e, i in ids if i.doi]
    doi = next((d for d in dois if not is_preprint_doi(d[1])), dois[0] if dois else None)
    version = max(((i.version, -n, e) for n, (e, i) in enumerate(ids) if i.version and i.arxiv), default=None)
    if doi is None and arxiv is not None:  # the arXiv DOI, if somebody states it and it does not contradict the arXiv id
        doi = next(((e, d) for e in work if (d := parse_doi(e[1].doi or "")) and parse_arxiv_id(d) == (arxiv[1], None)), None)
    stated = doi[1] if doi else None
    paper_id = work[0][1].paper_id
    if work[0][1].kind is not PaperKind.NOTE:
        own = next((p.paper_id for _, p in work if not p.paper_id.startswith(("title:", "file:"))), paper_id)
        paper_id = paper_id_for(arxiv_id=arxiv[1] if arxiv else None, doi=stated, fallback=own)
    provenance = [("arxiv_id", _origin(arxiv[0], "arxiv_id"))] if arxiv else []
    provenance += [("version", _origin(version[2], "version"))] if version else []
    provenance += [("doi", _origin(doi[0], "doi"))] if doi else []
    return {
        "paper_id": paper_id,
        "arxiv_id": arxiv[1] if arxiv else None,
        "version": version[0] if version else None,
        "doi": stated,
    }, provenance
