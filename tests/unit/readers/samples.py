# ruff: noqa: E501 - sample documents are kept as a publisher would write them
"""One small paper in every format, made here: what the reader tests read. PDF pages are set with typst, so their true text is known."""

from __future__ import annotations

import functools
import gzip
import io
import tarfile
import zipfile

PROSE = [
    "Expert offloading keeps most experts in host memory and moves them to the accelerator when the router asks for them. "
    "The transfer is slower than the computation, so a good predictor hides it. We measured 2.99 times higher throughput at batch size 8.",
    "Routing signatures are the sequences of experts that a prompt visits. Similar prompts visit similar experts. "
    "The cache therefore keeps experts that recent signatures contain, and it drops the others first.",
    "A load-balancing loss spreads tokens over experts. Without it, a few experts receive most of the tokens and the rest is never trained. "
    "The coefficient was 0.01 in all runs, and the learning rate was 0.0003.",
    "We repeat every measurement 12 times and report the median with its interval. One repeat gives no verdict. "
    "The baseline keeps no state between prompts, which is the setting of the original evaluation.",
]

LATEX = r"""\documentclass{article}
\newcommand{\sys}{ExpertFlow}
\newcommand{\pct}[1]{#1\%}
\title{A Study of \sys}
\author{Ann One \and Bob Two}
\begin{document}
\maketitle
\begin{abstract}
We cut memory by \pct{93.72}. It is $2.99\times$ faster~\cite{one2020}.
\end{abstract}
\section{Introduction}\label{sec:intro}
% a comment that must vanish
Offloading na\"{\i}vely costs $10^{-3}$ seconds. See Table~\ref{tab:main} and Section~\ref{sec:intro}.

A second paragraph with 50\% and \textbf{bold words} \citep[see][p.~3]{two2021}.
\begin{equation} L = \frac{a+b}{2} \label{eq:loss}\end{equation}
\begin{table}\caption{Latency.}\label{tab:main}
\begin{tabular}{lcc}
\toprule
 & \multicolumn{2}{c}{Latency} \\ \cmidrule(lr){2-3}
Method & TTFT (s) & TPOT (s) \\ \midrule
\multirow{2}{*}{Ours} & 6.203 & \textbf{0.703} \\
 & 6.5 & 0.71 \\
Base & 7.949 $\pm$ 0.1 & 0.786 \\ \bottomrule
\end{tabular}\end{table}
\section{Conclusion}
It works in the setting that we tested.
\begin{thebibliography}{9}
\bibitem{one2020} A. One and B. Two. A great paper on experts. In ICML, 2020. arXiv:2001.01234.
\bibitem{two2021} C. Three. ``Title in quotes,'' Journal of X, 2021. doi:10.1145/3770743.3804292
\end{thebibliography}
\end{document}
"""

HTML = r"""<!DOCTYPE html><html><head><title>[2604.1] Soft Experts</title><style>.gone{display:none}</style><script>steal()</script></head><body>
<div class="ltx_page_main"><article class="ltx_document"><h1 class="ltx_title ltx_title_document">Soft Experts</h1>
<div class="ltx_authors"><span class="ltx_personname">Ann One, Bob Two</span></div>
<div class="ltx_abstract"><h6 class="ltx_title ltx_title_abstract">Abstract</h6><p class="ltx_p">We gain <math alttext="12.3\%"><mn>12.3</mn></math> throughput.</p></div>
<section><h2 class="ltx_title"><span class="ltx_tag">1 </span>Introduction</h2>
<div class="ltx_para"><p class="ltx_p">Text cites <cite class="ltx_cite">[<a href="#bib.bib1">1</a>]</cite> and costs 10<sup>-3</sup> s, that is
<math><msup><mn>10</mn><mn>4</mn></msup></math> times less.</p>
<table class="ltx_equation"><tr><td><math alttext="L=\sum_{i}x_{i}" display="block"></math></td></tr></table></div>
<figure class="ltx_table"><figcaption class="ltx_caption">Table 1: Latency.</figcaption><table class="ltx_tabular"><thead><tr><th>Method</th>
<th colspan="2">Latency (s)</th></tr></thead><tbody><tr><td rowspan="2">Ours</td><td>6.203</td><td>0.703</td></tr><tr><td>6.5</td><td>0.71</td></tr></tbody></table></figure>
</section><section class="ltx_bibliography"><h2>References</h2><ul><li id="bib.bib1" class="ltx_bibitem"><span class="ltx_bibblock">A. One. A title of it.
2020.</span></li></ul></section></article></div></body></html>"""

JATS = """<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96)//EN" "JATS.dtd">
<article xmlns:mml="http://www.w3.org/1998/Math/MathML"><front><article-meta><title-group><article-title>Soft <italic>experts</italic></article-title></title-group>
<contrib-group><contrib contrib-type="author"><name><surname>One</surname><given-names>Ann</given-names></name></contrib></contrib-group>
<abstract><p>We gain 12.3 % throughput.</p></abstract></article-meta></front><body><sec><label>1</label><title>Introduction</title>
<p>We cite [<xref ref-type="bibr" rid="b1">1</xref>] and set <inline-formula><mml:math><mml:mi>x</mml:mi><mml:mo>=</mml:mo><mml:mn>3</mml:mn></mml:math></inline-formula>.</p>
<table-wrap><label>Table 1</label><caption><p>Latency.</p></caption><table><thead><tr><th>Method</th><th>TTFT</th></tr></thead><tbody><tr><td>Ours</td><td>6.203</td></tr>
</tbody></table></table-wrap></sec></body><back><ref-list><ref id="b1"><label>1</label><element-citation><person-group><name><surname>Two</surname>
<given-names>B</given-names></name></person-group><article-title>Deep things</article-title><year>2019</year></element-citation></ref></ref-list></back></article>"""

MARKDOWN = """---
title: A note on experts
kind: note
authors: [Ann One, Bob Two]
---
# Heading

## Results

Two sentences stand here. They say little.

Latency of both methods:

| Method | TTFT (s) |
|---|---|
| Ours | 6.203 |
| Base | 7.949 |
"""

BIBTEX = r"""@string{icml = "Proc. ICML"}
@article{k1, title={The {BERT} Caf\'e}, author="One, Ann and Bob {van} Two", year=2020, journal=icml, eprint={2001.01234}}
@misc{broken
@inproceedings{k2, title={X and Y}, author={M{\"u}ller, J}, booktitle={Z}, year={2021}, doi={10.1234/AB_c}}
"""

PLAIN = "A Plain Title\n\nAbstract\n\nShort abs-\ntract here.\n\n1 Introduction\n\nFirst sentence. Second sentence.\n\nReferences\n\n[1] A. One. T. 2020.\n"


def typst_pdf(source: str) -> bytes:
    import typst

    return bytes(typst.compile(source.encode()))


def paper_source(columns: int, repeats: int = 6, extra: str = "") -> str:
    """A paper of several pages: running head, page numbers, title over both columns, abstract, table with rules, footnote, references."""
    paragraphs = [p for _ in range(repeats) for p in PROSE]
    half = len(paragraphs) // 2
    body = "\n\n".join(f"{p} Marker {i:03d} stands here." for i, p in enumerate(paragraphs[:half]))
    rest = "\n\n".join(f"{p} Marker {i:03d} stands here." for i, p in enumerate(paragraphs[half:], half))
    return f"""
#set page(paper: "us-letter", margin: 1in, columns: {columns}, header: align(center, text(8pt)[Running head of the venue]), numbering: "1")
#set text(size: 10pt, hyphenate: true, lang: "en")
#set par(justify: true, first-line-indent: 1em)
#show heading: it => block(text(12pt, weight: "bold", it.body), above: 14pt, below: 8pt)
#place(top + center, scope: "parent", float: true)[#text(17pt, weight: "bold")[Offloading Experts Under Budget] #v(4pt) Ann One, Bob Two]
{extra}
= Abstract
We study offloading of experts. Throughput rises by 2.99 times at equal quality.
= 1 Introduction
{body}
#figure(caption: [Latency of both methods.], kind: table, supplement: [Table])[#table(columns: 3, stroke: none, align: (left, center, center),
table.hline(), [Method], [TTFT (s)], [TPOT (s)], table.hline(), [Ours], [6.203], [0.703], [Base], [7.949], [0.786], [Larger base], [9.100], [0.801], table.hline())]
= 2 Results
{rest}
= References
#set par(first-line-indent: 0pt, hanging-indent: 1.5em)
[1] A. One and B. Two. A great paper on experts. In ICML, 2020. arXiv:2001.01234.

[2] C. Three and D. Four. Another paper with a long title that needs a second line to be printed in full. Journal of X, 2021.
"""


@functools.cache
def pdf(columns: int = 1, repeats: int = 6) -> bytes:
    return typst_pdf(paper_source(columns, repeats))


def tar_gz(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, body in members.items():
            bundle.writestr(name, body)
    return out.getvalue()


def all_samples() -> dict[str, bytes]:
    """filename -> body, one per format."""
    return {
        "paper.tex": LATEX.encode(),
        "source.tar.gz": tar_gz({"main.tex": LATEX.encode(), "notes.txt": b"x"}),
        "single.gz": gzip.compress(LATEX.encode(), mtime=0),
        "source.zip": zipped({"main.tex": LATEX.encode()}),
        "page.html": HTML.encode(),
        "article.xml": JATS.encode(),
        "note.md": MARKDOWN.encode(),
        "refs.bib": BIBTEX.encode(),
        "plain.txt": PLAIN.encode(),
        "one.pdf": pdf(1),
        "two.pdf": pdf(2),
    }
