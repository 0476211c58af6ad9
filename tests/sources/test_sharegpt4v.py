"""ShareGPT4V, whose file is too large for the memory."""

import json
import tracemalloc

from raw_files import conversation, write

from sources.items import LeftOut, Text
from sources.sharegpt4v import read_sharegpt4v


def test_sharegpt4v(tmp_path):
    dog = conversation("coco/train2017/000000000009.jpg", " The image shows a dog.\n\nIt is brown – 犬. ")
    llava = conversation("llava/llava_pretrain/images/00453/004539375.jpg", "A cat.")
    many = conversation("coco/train2017/000000000009.jpg", "A dog.", "Brown.", "Yes.")
    records = [
        dog,
        llava,
        many,
        conversation("sam/images/sa_1234.jpg", "A cat."),
        conversation("coco/val2017/000000000042.jpg"),
        llava,
        {"id": "no picture", "conversations": dog["conversations"]},
        {"id": "9", "image": "coco/train2017/000000000009.jpg"},
        {"image": "coco/train2017/000000000009.jpg", "conversations": [{"from": "gpt"}]},
        {"image": "coco/train2017/000000000009.jpg", "conversations": [{"from": "gpt", "value": None}]},
        {"image": 9, "conversations": []},
        "A dog.",
        conversation("coco/train2017/000000000010.jpg", "A cat."),
    ]
    file = write(tmp_path, {"share.json": records}) / "share.json"

    def left_out(number: int, reason: str) -> LeftOut:
        return LeftOut("line", f"share.json:[{number}]", reason, captions=1)

    other = "describes pictures of a dataset that this program does not read"
    assert list(read_sharegpt4v(file)) == [
        Text("coco:9", "The image shows a dog.\n\nIt is brown – 犬.", "dense", "share.json:[0]"),
        left_out(2, "expected one answer with a text in the conversation, got 3 answers"),
        left_out(4, "expected one answer with a text in the conversation, got 0 answers"),
        left_out(6, "not a ShareGPT4V record: KeyError: 'image'"),
        left_out(7, "not a ShareGPT4V record: KeyError: 'conversations'"),
        left_out(8, "not a ShareGPT4V record: KeyError: 'value'"),
        left_out(9, "expected one answer with a text in the conversation, got 1 answers"),
        left_out(10, "not a ShareGPT4V record: AttributeError: 'int' object has no attribute 'partition'"),
        left_out(11, "not a ShareGPT4V record: TypeError: string indices must be integers, not 'str'"),
        Text("coco:10", "A cat.", "dense", "share.json:[12]"),
        LeftOut("collection", "share.json:llava", other, captions=2, photographs=2),
        LeftOut("collection", "share.json:sam", other, captions=1, photographs=1),
    ]


def test_a_large_file_is_read_as_a_stream(tmp_path):
    """The real one has 1.4 GB. json.load would need more than the 40 MB of this file."""
    record = json.dumps(conversation("coco/train2017/000000000009.jpg", "The image shows a dog. " * 100))
    count = 40_000_000 // len(record)
    with (tmp_path / "large.json").open("w") as file:
        file.write("[")
        for _ in range(count - 1):
            file.write(record + ",")
        file.write(record + "]")
    tracemalloc.start()
    try:
        texts = sum(isinstance(item, Text) for item in read_sharegpt4v(tmp_path / "large.json"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texts == count
    assert peak < 5_000_000
