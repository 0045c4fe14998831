"""tools/check_docs.py finds the words and the sentences that are not plain English."""

import pathlib
import sys

import harness
import pytest

sys.path.insert(0, str(harness.ROOT / "tools"))
import check_docs  # noqa: E402

PATH = harness.ROOT / "docs/some.md"


def found(text):
    return [line.split("'")[1] for line in check_docs.check_words(PATH, text)]


@pytest.mark.parametrize("phrase", check_docs.NOT_PLAIN)
def test_each_phrase_is_found_and_has_another(phrase):
    assert found(f"It is {phrase} there.") == [phrase]
    assert check_docs.NOT_PLAIN[phrase]


@pytest.mark.parametrize("text", [
    "// It is all there but\n  // for the end.",
    '"It is all there but "\n     "for the end."',
    "# It is all there, but\n# for the end.",
    "It is all there but\n  for the end.",
    "def test_all_but_for_the_end():",
    "TEST(All, ButForTheEnd) {",
])
def test_a_phrase_is_found_in_comments_strings_and_names(text):
    assert found(text) == ["but for"]


def test_the_line_is_that_of_the_phrase():
    first, = check_docs.check_words(PATH, "a\nb\nWhoever comes\n")
    assert first.startswith("docs/some.md:3: ")


@pytest.mark.parametrize("text", ["the user \"nobody\"", "as long as it runs", "insomebodyelse", "butfor"])
def test_other_words_are_not(text):
    assert found(text) == []


@pytest.mark.parametrize(("line", "wide"), [
    ("// " + "x" * 97, False),
    ("// " + "x" * 98, True),
    ("int a;  // " + "x" * 98, True),
    ('"' + "x" * 120 + '"', False),
])
def test_a_comment_ends_at_column_100(line, wide):
    assert bool(check_docs.check_comments(PATH, f"\n{line}\n")) == wide


def long_ones(text, tmp_path, monkeypatch):
    monkeypatch.setattr(check_docs, "ROOT", tmp_path)
    path: pathlib.Path = tmp_path / "some.md"
    path.write_text(text)
    return [int(line.split(":")[1]) for line in check_docs.long_sentences(path)]


WORDS = " ".join(["word"] * 25)


@pytest.mark.parametrize(("text", "lines"), [
    (f"{WORDS}.", []),
    (f"{WORDS} word.", [1]),
    (f"Short.\n\n- {WORDS}\n  word.\n", [3]),
    (f"| {WORDS} word | short |\n", [1]),
    (f"- {WORDS}\n- {WORDS}\n", []),
    (f"```\n{WORDS} word.\n```\n", []),
    (f"{WORDS[5:]} `a b c`.", []),
    (f"{WORDS[5:]} [one](two.md).", []),
    (f"{WORDS}; word.", [1]),
])
def test_a_sentence_of_a_document_has_at_most_25_words(text, lines, tmp_path, monkeypatch):
    assert long_ones(text, tmp_path, monkeypatch) == lines
