"""Golden vectors of texts as token numbers, by the Hugging Face tokenizers library.

Run: python3 make_text_vectors.py   (needs tokenizers; writes text-tokens.json beside this file)
The tokenizers are small ones, made here: a WordPiece of BERT's form and a byte-level BPE of RoBERTa's form.
"""

import json
import pathlib

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = pathlib.Path(__file__).parent
CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "a sensor reads the temperature of the room",
    "this product is not good, it broke after two days!",
    "très bon café, naïve résumé",
]
TEXTS = [
    ["the quick brown fox"],
    ["The QUICK dog, not good!"],
    ["café résumé naïve"],
    ["unseen zebra words 12345"],
    ["[MASK] the dog"],
    [" spaces   between\tand\nlines "],
    ["the lazy dog jumps over the quick brown fox after two days of the room temperature"],
    ["the dog", "the quick brown fox jumps over the lazy dog"],
    ["the quick brown fox jumps over the lazy dog", "a room"],
    ["日本語 and 🙂 emoji"],
]


def bert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=160, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def encode(tokenizer, pad_id, length):
    tokenizer.enable_truncation(length, strategy="longest_first")
    tokenizer.enable_padding(length=length, pad_id=pad_id)
    cases = []
    for texts in TEXTS:
        encoding = tokenizer.encode(*texts)
        cases.append(
            {
                "texts": texts,
                "input_ids": encoding.ids,
                "attention_mask": encoding.attention_mask,
                "token_type_ids": encoding.type_ids,
            }
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return {"maxLength": length, "padId": pad_id, "cases": cases}


def main():
    result = []
    for name, make, pad_id in (("bert", bert, 0), ("roberta", roberta, 1)):
        tokenizer = make()
        source = json.loads(tokenizer.to_str())
        result.append({"name": name, "tokenizer": source, "lengths": [encode(tokenizer, pad_id, n) for n in (8, 24)]})
    (FOLDER / "text-tokens.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
