"""Figures of PDFs, articles and pictures; what bad ones get."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emscout.errors import ReadError, UsageError
from emscout.literature.sources.open import find_documents, open_document

CAPTIONS = [
    "Figure 1. (a) TEM image of gold spheres and (b) of gold rods made in the same way; (c) their sizes, by number.",
    "Fig. 2: SEM images of silica. Scale bar: 50 nm.",
]


def figures_of(path):
    return list(open_document(path).figures)


def test_images_of_a_pdf_come_as_they_are_stored(tmp_path, composite, write_paper):
    other = np.ascontiguousarray(composite.image[:150])
    document = open_document(write_paper(tmp_path / "paper.pdf", [composite.image, other], CAPTIONS))
    assert document.doi == "10.1234/particles.2026.17"
    figures = list(document.figures)
    assert [figure.page for figure in figures] == [1, 2]
    assert [figure.number for figure in figures] == ["1", "2"]
    assert [figure.caption for figure in figures] == CAPTIONS
    for figure, image in zip(figures, [composite.image, other], strict=True):
        assert np.array_equal(figure.load(), image)


def test_strips_are_put_together(tmp_path, composite, write_paper):
    (figure,) = figures_of(write_paper(tmp_path / "strips.pdf", [composite.image], CAPTIONS[:1], strips=5))
    loaded = figure.load()
    assert np.abs(np.subtract(loaded.shape, composite.image.shape)).max() <= 2
    rows, cols = (min(a, b) for a, b in zip(loaded.shape[:2], composite.image.shape[:2], strict=True))
    difference = np.abs(loaded[:rows, :cols].astype(int) - composite.image[:rows, :cols])
    assert np.median(difference) <= 8


@pytest.mark.parametrize("text", ["", "%PDF-1.7\nnothing of a PDF follows"], ids=["empty", "header only"])
def test_damaged_pdfs(tmp_path, text):
    (tmp_path / "bad.pdf").write_text(text)
    with pytest.raises(ReadError, match=r"bad\.pdf"):
        figures_of(tmp_path / "bad.pdf")


def test_a_cut_off_pdf_is_a_sentence_or_its_first_pages(tmp_path, composite, write_paper):
    path = write_paper(tmp_path / "cut.pdf", [composite.image], CAPTIONS[:1])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(ReadError, match=r"cut\.pdf"):
        figures_of(path)


def test_a_pdf_without_images(tmp_path, write_paper):
    with pytest.raises(ReadError, match="holds no images"):
        open_document(write_paper(tmp_path / "text.pdf", [None], ["No figure here."]))


def test_a_locked_pdf(tmp_path):
    (tmp_path / "locked.pdf").write_bytes(locked_pdf())
    with pytest.raises(ReadError, match="protected by a password"):
        open_document(tmp_path / "locked.pdf")


def locked_pdf():
    """An empty page under the standard security handler, with a user's password that is not empty."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"11" * 32 + b"> /U <" + b"22" * 32 + b"> >>",
    ]
    return pdf_of(
        objects, b"/Encrypt 4 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
    )


def pdf_of(objects, more=b""):
    content, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start = len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    content += b"".join(b"%010d 00000 n \n" % place for place in places)
    return content + b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, more, start)


def test_an_image_bomb_in_a_pdf_is_refused_before_it_is_unpacked(tmp_path):
    pixels = zlib.compress(bytes(1000))
    draw = b"q 400 0 0 400 100 100 cm /I Do Q"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 600] /Contents 4 0 R "
        b"/Resources << /XObject << /I 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(draw), draw),
        b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceGray /BitsPerComponent 8 "
        b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(pixels), pixels),
    ]
    (tmp_path / "bomb.pdf").write_bytes(pdf_of(objects))
    (figure,) = figures_of(tmp_path / "bomb.pdf")
    with pytest.raises(ReadError, match="60000 x 60000 px"):
        figure.load()


def test_a_picture_bomb_is_refused_by_its_header(tmp_path):
    import struct

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(bytes(10_000))
    body = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + body + b"\0\0\0\0IEND\xaeB`\x82")
    (figure,) = figures_of(tmp_path / "bomb.png")
    with pytest.raises(ReadError, match="more pixels than the file can hold"):
        figure.load()


def test_a_poster_is_refused_by_its_header(tmp_path):
    Image.new("1", (12_000, 9_000)).save(tmp_path / "poster.png")
    (figure,) = figures_of(tmp_path / "poster.png")
    with pytest.raises(ReadError, match="12000 x 9000 px, more than the 80 million"):
        figure.load()


def test_pictures_of_any_mode(tmp_path, composite):
    Image.fromarray(composite.image).save(tmp_path / "colour.tif")
    Image.fromarray(composite.image[..., 0]).save(tmp_path / "grey.png")
    clear = np.dstack([composite.image, np.zeros(composite.image.shape[:2], np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    colour, grey, transparent = (
        figures_of(tmp_path / name)[0].load() for name in ("colour.tif", "grey.png", "clear.png")
    )
    assert np.array_equal(colour, composite.image)
    assert np.array_equal(grey[..., 2], composite.image[..., 0])
    assert (transparent == 255).all()
    inks = Image.fromarray(composite.image).convert("CMYK")
    inks.save(tmp_path / "inks.tif")
    assert np.array_equal(figures_of(tmp_path / "inks.tif")[0].load(), np.asarray(inks.convert("RGB")))
    deep = composite.image[..., 0].astype(np.uint16) * 16 + 900
    Image.fromarray(deep).save(tmp_path / "deep.png")
    (figure,) = figures_of(tmp_path / "deep.png")
    loaded = figure.load()
    assert loaded.dtype == np.uint8 and loaded.shape == composite.image.shape
    assert np.corrcoef(loaded[..., 1].ravel(), deep.ravel())[0, 1] > 0.99


JATS = """<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS v1.2//EN" "JATS.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta>
<article-id pub-id-type="doi">10.5555/abc.1</article-id></article-meta></front><body>
<fig id="f1"><label>Figure 1</label><caption><title>Gold.</title><p>TEM of <italic>gold</italic>. Scale bar: 20 nm.</p>
</caption><graphic xlink:href="gold-g001"/></fig>
<fig id="f2"><label>Figure 2</label><caption><p>Lost.</p></caption><graphic xlink:href="lost-g002"/></fig></body>
</article>"""
HTML = """<html><head><meta name="citation_doi" content="10.5555/abc.2"></head><body><img src="logo.png">
<figure><img src="https://journal.example/images/gold-g001.png?size=large"><figcaption><b>Figure 4.</b>
<p>SEM &amp; more.</p></figcaption></figure></body></html>"""


def test_articles_with_pictures_beside_them(tmp_path, composite):
    Image.fromarray(composite.image).save(tmp_path / "gold-g001.png")
    (tmp_path / "article.nxml").write_text(JATS)
    (tmp_path / "article.html").write_text(HTML)
    document = open_document(tmp_path / "article.nxml")
    assert document.doi == "10.5555/abc.1"
    first, second = document.figures
    assert first.number == "1"
    assert first.caption == "Figure 1 Gold. TEM of gold. Scale bar: 20 nm."
    assert np.array_equal(first.load(), composite.image)
    with pytest.raises(ReadError, match="lost-g002"):
        second.load()
    document = open_document(tmp_path / "article.html")
    (figure,) = document.figures
    assert (document.doi, figure.number, figure.caption) == ("10.5555/abc.2", "4", "Figure 4. SEM & more.")
    assert np.array_equal(figure.load(), composite.image)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.xml", "<article><unclosed></article>", "damaged XML"),
        ("a.xml", "<article><body/></article>", "holds no figure"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY x "y">]><article>&x;</article>', "entities"),
        ("a.html", "<p>Only words.</p>", "holds no figure"),
        ("a.html", '<figure><img src="../../etc/secret.png"></figure>', "in its folder"),
    ],
)
def test_articles_that_cannot_be_used(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(ReadError, match=sentence):
        open_document(tmp_path / name)


def test_pictures_of_an_article_do_not_count_twice(tmp_path, composite):
    for name in ("gold-g001.png", "other.png"):
        Image.fromarray(composite.image).save(tmp_path / name)
    (tmp_path / "article.nxml").write_text(JATS)
    (tmp_path / "notes.txt").write_text("no document")
    for given in ([tmp_path], [tmp_path / "other.png", tmp_path / "gold-g001.png", tmp_path / "article.nxml"]):
        assert [path.name for path in find_documents(given)] == ["article.nxml", "other.png"]


def test_articles_in_folders_of_their_own_need_a_pattern(tmp_path, composite):
    (tmp_path / "first").mkdir()
    Image.fromarray(composite.image).save(tmp_path / "first" / "gold-g001.png")
    (tmp_path / "first" / "article.nxml").write_text(JATS)
    with pytest.raises(UsageError, match=r"subfolders only.*/\*/\*'"):
        find_documents([tmp_path])
    assert [path.name for path in find_documents([tmp_path / "*" / "*"])] == ["article.nxml"]


def test_nothing_to_do_is_said(tmp_path):
    for paths in ([], [tmp_path], [tmp_path / "missing.pdf"], [tmp_path / "*.pdf"]):
        with pytest.raises(UsageError):
            find_documents(paths)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed on Linux only")
def test_a_pdf_is_closed(tmp_path, write_paper, composite):
    paper = write_paper(tmp_path / "paper.pdf", [composite.image], CAPTIONS[:1])
    text = write_paper(tmp_path / "text.pdf", [None], ["No figure here."])
    with open_document(paper) as document:
        figure = next(document.figures)
        figure.load()
        assert str(paper) in open_files()
    assert str(paper) not in open_files()
    with pytest.raises(ReadError) as raised:
        open_document(text)
    assert raised.traceback and str(text) not in open_files()


def open_files():
    return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
