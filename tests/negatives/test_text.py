from negatives.text import Parse


def test_from_doc_skips_white_space_tokens(nlp):
    parsed = Parse.from_doc(nlp("A red  car\n is here"))
    assert [parsed.text[start:end] for start, end in zip(parsed.start, parsed.end)] == [
        "A",
        "red",
        "car",
        "is",
        "here",
    ]
    assert all(0 <= head < 5 for head in parsed.head)
