"""TRL: the messages and images of a row become what its collator for vision-language models takes."""
# requires: trl==1.16.0
# requires: datasets==5.2.0
# requires: pillow==12.0.0
# requires: torch==2.13.0

import sys

from datasets import load_dataset
from trl.data_utils import is_conversational, prepare_multimodal_messages

rows = load_dataset(sys.argv[1], "messages", split="train")
assert len(rows) == 5
for row in rows:
    assert is_conversational(row)
    messages = prepare_multimodal_messages(row["messages"], row["images"])
    shown = sum(part["type"] == "image" for message in messages for part in message["content"])
    assert shown == len(row["images"]) == 6
